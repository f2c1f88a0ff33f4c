"""A bar on the terminal for each run, group or task that is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID

from gateway.cli.plain_text import excerpt
from gateway.cli.progress import counts_of, progress_on
from gateway.cli.watching import state_of
from gateway.client import Event

_WORDS = 60


class Bars:
    """Lines that move, one below the other."""

    def __init__(self, console: Console) -> None:
        self._progress = progress_on(console)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add(self, subject: str) -> TaskID:
        """Begin with a subject of which nothing is known."""
        return self._progress.add_task(escape(excerpt(subject, _WORDS)), total=None, counts="")

    def show(self, bar: TaskID, event: Event) -> None:
        """Move a bar, if the event says how its subject is."""
        stage = _stage_of(event)
        if stage is not None:
            description = f"{escape(event.subject)} {escape(excerpt(stage.status, _WORDS))}"
            self._progress.update(
                bar, description=description, completed=stage.done, total=stage.total, counts=stage.counts
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stage:
    """How far a subject is; without a total that is not known."""

    status: str
    done: float
    total: float | None
    counts: str = ""


def _stage_of(event: Event) -> _Stage | None:
    """What an event says about its subject; none if it is about a test of a run."""
    run, data = state_of(event), event.data
    if run is not None:
        return _Stage(status=run.status, done=run.finished, total=run.total, counts=counts_of(run))
    if "test_id" in data:
        return None
    status = str(data["status"])
    if "finished" in data:
        return _Stage(status=status, done=data["finished"], total=data.get("total"))
    told = data.get("progress") or {}
    message = escape(excerpt(told.get("message") or data.get("name") or "", _WORDS))
    # A task that has ended is at its end, and one that told nothing was one step.
    total = told.get("total") or (1 if event.is_last else None)
    return _Stage(
        status=status, done=total if total and event.is_last else told.get("done", 0), total=total, counts=message
    )
