"""Follows a run to its end: by its stream, resumed whenever it breaks, and by asking while there is none."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.cli.client import GatewayClient, StreamOver, StreamUnavailable
from gateway.cli.submission import SubmittedRun
from workerapp.contract.states import FINAL_RUN_STATUSES

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 3.0
_COUNTS = ("total", "pending", "passed", "failed", "errored", "cancelled", "unscored")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """How far a run is."""

    id: str
    status: str
    total: int | None
    pending: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    unscored: int
    reason: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in FINAL_RUN_STATUSES

    @property
    def finished(self) -> int:
        """How many tests have an outcome."""
        return self.passed + self.failed + self.errored + self.cancelled + self.unscored

    @property
    def pass_rate(self) -> float | None:
        """The share that passed of what was to be judged; None where nothing was."""
        judged = self.passed + self.failed + self.errored
        return self.passed / judged if judged else None


def follow(client: GatewayClient, run: SubmittedRun, show: Callable[[RunState], None]) -> RunState:
    """Show every state of a run, and return the final one."""
    cursor: list[str | None] = [None]
    pause = _FIRST_PAUSE
    while True:
        seen = 0
        try:
            for state in _streamed(client, run, cursor):
                show(state)
                seen += 1
        except (StreamUnavailable, StreamOver):
            pass
        state = read_run(client, run)
        show(state)
        if state.is_final:
            return state
        pause = _FIRST_PAUSE if seen else min(pause * 2, _LONGEST_PAUSE)
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that not all clients come back at once


def read_run(client: GatewayClient, run: SubmittedRun) -> RunState:
    """The run as it is now."""
    body = client.get(run.path)
    return _state(run, body, body)


def _streamed(client: GatewayClient, run: SubmittedRun, cursor: list[str | None]) -> Iterator[RunState]:
    """What the stream says until it ends; `cursor` moves along."""
    with client.events(run.events, cursor[0]) as events:
        for event in events:
            if event.name == "reset":
                cursor[0] = None
                continue
            cursor[0] = event.id or cursor[0]
            if event.data is not None and event.name == "message":
                data = json.loads(event.data)["data"]
                if "status" in data and "test_id" not in data:
                    yield _state(run, data, data.get("counts", data))


def _state(run: SubmittedRun, body: Mapping[str, Any], counts: Mapping[str, Any]) -> RunState:
    numbers = {name: counts.get(name) for name in _COUNTS}
    total = numbers.pop("total")
    return RunState(
        id=run.id,
        status=str(body["status"]),
        total=total,
        reason=body.get("reason"),
        **{name: int(number or 0) for name, number in numbers.items()},
    )
