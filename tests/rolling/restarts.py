"""Restarts each gateway and each worker, one after the other, as who brings a new version does."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from tests.deployment import document, seconds
from tests.faults.stack import Stack
from tests.stack.process import Process
from tests.stack.services import Gateway
from tests.waiting import until

#: How long Compose waits for the end of a process.
GRACE = {
    name: seconds(document("compose.yaml")["services"][name]["stop_grace_period"]) for name in ("gateway-1", "worker")
}


@dataclass(frozen=True, kw_only=True)
class Restart:
    """One of them."""

    at: float
    name: str
    #: Seconds from the signal to the end, and from the start until it was ready.
    ended_after: float
    ready_after: float
    #: What it exited with.
    status: int

    def __str__(self) -> str:
        return (
            f"{self.at:6.1f} s  {self.name} ended after {self.ended_after:.1f} s with {self.status},"
            f" was ready {self.ready_after:.1f} s after its start"
        )


class Restarter:
    """Workers before gateways, in a random order; `kills` sends SIGKILL to gateways instead of SIGTERM."""

    def __init__(self, stack: Stack, chance: random.Random, *, pause: float, kills: bool = False) -> None:
        self._stack, self._chance, self._pause, self._kills = stack, chance, pause, kills
        self.log: list[Restart] = []
        self._began = time.monotonic()

    def restart_all(self) -> None:
        """Each once."""
        workers, gateways = list(self._stack.workers), list(self._stack.gateways)
        self._chance.shuffle(workers)
        self._chance.shuffle(gateways)
        for process in [*([] if self._kills else workers), *gateways]:
            time.sleep(self._chance.uniform(0.5, 1.5) * self._pause)
            self._restart(process)

    def _restart(self, process: Process) -> None:
        is_gateway = isinstance(process, Gateway)
        at = time.monotonic()
        if self._kills:
            process.kill()
        else:
            process.end(GRACE["gateway-1" if is_gateway else "worker"])
        ended = time.monotonic()
        status = process.status
        self._stack.keep_output(process)
        process.start()
        _wait_until_ready(process)
        ready = time.monotonic()
        name = f"gateway {self._stack.gateways.index(process)}" if is_gateway else process.name
        self.log.append(
            Restart(at=at - self._began, name=name, ended_after=ended - at, ready_after=ready - ended, status=status)
        )


def _wait_until_ready(process: Process) -> None:
    if isinstance(process, Gateway):
        until(lambda: process._answers("/readyz"), 60)
    else:
        process.wait_for(r"ready\.$", 60)
