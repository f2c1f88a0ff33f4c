"""What is told of a run while it is watched: by its stream, and by asking while there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.client import Event, StreamUnavailable, Subject, SyncGatewayClient, TestRun

#: Between two looks at a run that has no stream.
_PAUSE = 2.0
_COUNTS = ("pending", "passed", "failed", "errored", "cancelled", "unscored")


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
    def finished(self) -> int:
        """How many tests have an outcome."""
        return self.passed + self.failed + self.errored + self.cancelled + self.unscored

    @property
    def pass_rate(self) -> float | None:
        """The share that passed of what was to be judged; None where nothing was."""
        judged = self.passed + self.failed + self.errored
        return self.passed / judged if judged else None


def watch_run(client: SyncGatewayClient, run: Subject[TestRun], show: Callable[[RunState], None]) -> RunState:
    """Show every state of a run, and return the final one."""
    try:
        for event in client.follow(run, after=None, insists=False):
            state = state_of(event)
            if state is not None:
                show(state)
    except StreamUnavailable:
        for seen in client.poll(run, every=_PAUSE):
            show(_state(seen.id, seen.model_dump()))
    last = client.get(run)
    final = _state(last.id, last.model_dump())
    show(final)
    return final


def state_of(event: Event) -> RunState | None:
    """What an event of a run's stream says about the run; none if it is about a test."""
    data = event.data
    if "counts" not in data or "test_id" in data:
        return None
    return _state(event.subject, {**data, **data["counts"]})


def _state(run_id: str, told: Mapping[str, Any]) -> RunState:
    return RunState(
        id=run_id,
        status=str(told["status"]),
        total=told.get("total"),
        reason=told.get("reason"),
        **{name: int(told.get(name) or 0) for name in _COUNTS},
    )
