"""What goes wrong: processes and brokers killed, Postgres crashed or stopped, connections cut, as the seed decides."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from tests.faults.load import Load
from tests.faults.stack import Stack

SHORTEST_PAUSE = 1.0
DROP = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND coalesce(application_name = %s, true)"
)
NAMES = (
    "SELECT DISTINCT application_name FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1"
)
STARTED = "SELECT count(*) FROM task WHERE id = ANY (%s) AND state = 'STARTED'"


class Injector:
    """Every kind once before any comes again; the first outage is the long one."""

    def __init__(self, stack: Stack, load: Load, *, seed: int, outage: float, longest_pause: float) -> None:
        self._stack, self._load = stack, load
        self._random = random.Random(seed)
        self._longest_pause = longest_pause
        self._outages = iter([outage])
        self.injected: Counter[str] = Counter()
        self.log: list[str] = []
        self._kinds: dict[str, Callable[[], str]] = {
            "worker killed": self._kill_worker,
            "child killed": self._kill_child,
            "gateway killed": self._kill_gateway,
            "postgres crashed": self._crash_postgres,
            "postgres stopped": self._stop_postgres,
            "all connections dropped": self._drop_all,
            "connections of one kind dropped": self._drop_some,
        }
        if stack.broker.server is not None:
            self._kinds |= {"broker killed": self._kill_broker, "broker cut off": self._cut_broker}

    def inject(self, seconds: float) -> None:
        """Break things for so long, and at least each once."""
        began = time.monotonic()
        for number, kind in enumerate(self._order()):
            if number >= len(self._kinds) and time.monotonic() - began > seconds:
                return
            time.sleep(self._random.uniform(SHORTEST_PAUSE, self._longest_pause))
            at = time.monotonic() - began
            what = self._kinds[kind]()
            self.injected[kind] += 1
            self.log.append(f"{at:6.1f} s  {kind}: {what}, {time.monotonic() - began - at:.1f} s")

    def _order(self) -> Iterator[str]:
        while True:
            yield from self._random.sample(sorted(self._kinds), len(self._kinds))

    def _kill_worker(self) -> str:
        worker = self._random.choice(self._stack.workers)
        self._stack.restart(worker)
        return worker.name

    def _kill_child(self) -> str:
        worker = self._random.choice(self._stack.workers)
        children = worker.children()
        if not children:
            return "there was none"
        child = self._random.choice(children)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        return f"{child} of {worker.name}"

    def _kill_gateway(self) -> str:
        gateway = self._random.choice(self._stack.gateways)
        self._stack.restart(gateway)
        return str(gateway.port)

    def _crash_postgres(self) -> str:
        self._stack.postgres.crash()
        self._stack.postgres.start()
        return "immediate mode"

    def _stop_postgres(self) -> str:
        """Stop it when tasks are about to end, so that their results find no database."""
        gate = self._stack.folder / f"gate-{self._random.getrandbits(32):08x}"
        started = self._wait_for_started(self._load.submit_waiting(str(gate), len(self._stack.workers)))
        length = next(self._outages, None) or self._random.uniform(2, 8)
        self._stack.postgres.stop()
        gate.touch()
        time.sleep(length)
        self._stack.postgres.start()
        return f"{length:.1f} s away, when {started} tasks were about to end"

    def _wait_for_started(self, tasks: list[str]) -> int:
        """How many have begun, when all have or it takes too long, as after a fault that others are still feeling."""
        deadline = time.monotonic() + 8
        with self._stack.connect() as admin:
            while True:
                row = admin.execute(STARTED, (tasks,)).fetchone()
                assert row is not None
                if row[0] == len(tasks) or time.monotonic() > deadline:
                    return int(row[0])
                time.sleep(0.05)

    def _kill_broker(self) -> str:
        server = self._stack.broker.server
        assert server is not None
        length = self._random.uniform(0, 5)
        server.kill()
        time.sleep(length)
        server.start()
        return f"started again after {length:.1f} s"

    def _cut_broker(self) -> str:
        assert self._stack.broker.wire is not None
        return f"{self._stack.broker.wire.cut() // 2} connections"

    def _drop_all(self) -> str:
        return self._drop(None)

    def _drop_some(self) -> str:
        with self._stack.connect() as admin:
            names = [row[0] for row in admin.execute(NAMES).fetchall()]
        return self._drop(self._random.choice(names)) if names else "there was none"

    def _drop(self, name: str | None) -> str:
        with self._stack.connect() as admin:
            row = admin.execute(DROP, (name,)).fetchone()
        assert row is not None
        return f"{row[0]} of {name or 'all'}"
