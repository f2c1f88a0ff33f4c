"""Shows how far a run is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.watching import RunState

#: Between two lines where there is no terminal.
_PAUSE = 5.0


class Display(Protocol):
    """Somewhere to show a run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, state: RunState) -> None:
        """Show a state; the latest one counts."""


def display_on(console: Console, tests: int) -> Display:
    """The display that fits the console; `tests` is how many are expected until the run says it itself."""
    return LiveBar(console, tests) if console.is_terminal else Lines(console)


def progress_on(console: Console) -> Progress:
    """Bars that have a description, `counts` and the time that has gone."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        console=console,
    )


def counts_of(state: RunState) -> str:
    """How many passed and not, in the colors of a terminal."""
    return f"[green]{state.passed} passed[/] [red]{state.failed} failed[/] [yellow]{state.errored} errors[/]"


class LiveBar:
    """One line that moves."""

    def __init__(self, console: Console, tests: int) -> None:
        self._progress = progress_on(console)
        self._task = self._progress.add_task("queued", total=tests, counts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, state: RunState) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            description=state.status,
            total=state.total,
            completed=state.finished,
            counts=counts_of(state),
        )


class Lines:
    """A line when the status changes, and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = ""
        self._told_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, state: RunState) -> None:
        """Print the state, if there is enough news."""
        now = time.monotonic()
        if state.status == self._status and now - self._told_at < _PAUSE:
            return
        self._status, self._told_at = state.status, now
        of_total = "" if state.total is None else f" of {state.total}"
        counts = f"{state.passed} passed, {state.failed} failed, {state.errored} errors"
        self._console.print(f"{state.status}: {state.finished}{of_total} tests done, {counts}", highlight=False)
