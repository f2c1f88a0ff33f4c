"""What goes wrong while webhooks are sent: workers are killed, suspended, stopped; Postgres crashes and goes away."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from tests.stack.services import Worker
from tests.waiting import until
from tests.webhook_faults.passing import Time
from tests.webhook_faults.stack import Stack

#: What a sender connects as.
CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE application_name IN ('webhooks', 'gateway-listen')"
)
STOPPED = "worker stopped in good order"
PATIENCE = 60.0


class Injector:
    """Every kind once before any comes again, each while a request is under way."""

    def __init__(self, stack: Stack, passing: Time, *, seed: int, outage: float, without: Collection[str] = ()) -> None:
        self._stack, self._time = stack, passing
        self._random = random.Random(seed)
        self._outage = outage
        self.injected: Counter[str] = Counter()
        self.log: list[str] = []
        kinds: dict[str, Callable[[], str]] = {
            "worker killed": self._kill_worker,
            "worker suspended for longer than its claims last": self._suspend_worker,
            STOPPED: self._stop_worker,
            "postgres crashed": self._crash_postgres,
            "postgres stopped": self._stop_postgres,
            "connections cut": self._cut_connections,
        }
        self._kinds = {name: kinds[name] for name in kinds if name not in without}

    def inject(self, seconds: float) -> None:
        """Break things for so long, and at least each once."""
        began = time.monotonic()
        for number, kind in enumerate(self._order()):
            at = time.monotonic() - began
            if number >= len(self._kinds) and at > seconds:
                return
            if number and number % len(self._kinds) == 0:
                self._stack.enable_endpoints()
            what = self._kinds[kind]()
            self.injected[kind] += 1
            self.log.append(f"{at:6.1f} s  {kind}: {what}, {time.monotonic() - began - at:.1f} s")
            self._time.pass_some()

    def _order(self) -> Iterator[str]:
        while True:
            yield from self._random.sample(sorted(self._kinds), len(self._kinds))

    @contextmanager
    def _sending(self) -> Iterator[Worker]:
        """The worker that has a request under way, which is answered when the context ends."""
        gate = self._stack.receivers.gate
        gate.is_open = False
        try:
            self._stack.settle_runs(1)
            yield until(self._stack.sender, PATIENCE)
        finally:
            gate.is_open = True

    def _kill_worker(self) -> str:
        with self._sending() as worker:
            self._stack.weigh(worker)
            worker.restart()
        self._stack.await_ready(worker)
        return worker.name

    def _stop_worker(self) -> str:
        """It waits for the request for a while, and gives the claim back."""
        with self._sending() as worker:
            self._stack.weigh(worker)
            worker.stop()
        worker.start()
        self._stack.await_ready(worker)
        return worker.name

    def _suspend_worker(self) -> str:
        """The other takes over what it holds; what it has to tell when it goes on is of no interest any more."""
        with self._sending() as worker:
            os.kill(worker.pid, signal.SIGSTOP)
            try:
                self._time.let_claims_run_out()
                until(lambda: len(self._stack.receivers.gate.waiting) > 1, PATIENCE)
            finally:
                os.kill(worker.pid, signal.SIGCONT)
        return worker.name

    def _crash_postgres(self) -> str:
        with self._sending():
            self._stack.postgres.crash()
        self._stack.postgres.start()
        return "immediate mode"

    def _stop_postgres(self) -> str:
        with self._sending():
            self._stack.postgres.stop()
        time.sleep(self._outage)
        self._stack.postgres.start()
        return f"{self._outage:.1f} s away, when answers came"

    def _cut_connections(self) -> str:
        with self._sending(), self._stack.connect() as admin:
            row = admin.execute(CUT).fetchone()
            assert row is not None
        return f"{row[0]}"
