"""What goes wrong while clients watch, in an order that the seed decides."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum

from tests.records import connect
from tests.soak.stack import Stack

TAIL = "gateway-tail"
DROP = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name LIKE %s"
)


class Fault(StrEnum):
    GATEWAY_KILLED = "gateway killed"
    GATEWAY_STOPPED = "gateway stopped in good order"
    TAIL_DROPPED = "tails' connections ended"
    ALL_DROPPED = "all connections ended"
    POSTGRES_CRASHED = "postgres crashed"


class Injector:
    """Breaks things; each returns when what was broken has been started again."""

    def __init__(self, stack: Stack, chance: random.Random, longest_pause: float) -> None:
        self._stack, self._chance, self._longest_pause = stack, chance, longest_pause
        self.injected: Counter[str] = Counter()
        self.log: list[str] = []
        self._kinds: Mapping[Fault, Callable[[], str]] = {
            Fault.GATEWAY_KILLED: self._kill_gateway,
            Fault.GATEWAY_STOPPED: self._stop_gateway,
            Fault.TAIL_DROPPED: lambda: self._drop(TAIL),
            Fault.ALL_DROPPED: lambda: self._drop("%"),
            Fault.POSTGRES_CRASHED: self._crash_postgres,
        }

    async def inject(self, times: Mapping[Fault, int]) -> None:
        """Each kind so many times."""
        began = time.monotonic()
        for kind in self._chance.sample(list(times), sum(times.values()), counts=list(times.values())):
            await asyncio.sleep(self._chance.uniform(0.5, self._longest_pause))
            at = time.monotonic() - began
            what = await asyncio.to_thread(self._kinds[kind])
            self.injected[kind] += 1
            self.log.append(f"{at:6.1f} s  {kind}: {what}, {time.monotonic() - began - at:.1f} s")

    def _kill_gateway(self) -> str:
        gateway = self._chance.choice(self._stack.gateways)
        gateway.restart()
        return str(gateway.port)

    def _stop_gateway(self) -> str:
        gateway = self._chance.choice(self._stack.gateways)
        gateway.stop()
        gateway.start()
        return str(gateway.port)

    def _crash_postgres(self) -> str:
        self._stack.postgres.crash()
        self._stack.postgres.start()
        return "immediate mode"

    def _drop(self, names: str) -> str:
        with connect(self._stack.address) as admin:
            row = admin.execute(DROP, (names,)).fetchone()
        assert row is not None
        return f"{row[0]} connections"
