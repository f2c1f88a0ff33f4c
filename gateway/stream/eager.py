"""Begins what can be awaited in place, as far as it gets without waiting; most sends never wait, and need no task."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any


class Eager:
    """An awaitable that was begun when this was made. If it `is_done` there is nothing to await.

    Python 3.12 has eager tasks, which make a task all the same.
    """

    __slots__ = ("_error", "_steps", "_waits_for", "is_done")

    def __init__(self, awaitable: Awaitable[None]) -> None:
        self._steps = awaitable.__await__()
        self._error: Exception | None = None
        self._waits_for: Any = None
        self.is_done = False
        try:
            self._step(self._steps.send, None)
        except Exception as error:  # noqa: BLE001 - it is raised to whoever awaits the rest
            self._error = error

    def __await__(self) -> Generator[Any, Any, None]:
        """Run the rest, once, in the task that awaits it."""
        if self._error is not None:
            raise self._error
        while not self.is_done:
            try:
                yield self._waits_for
            except BaseException as thrown:  # noqa: BLE001 - a cancellation belongs to what is awaited
                self._step(self._steps.throw, thrown)
            else:
                self._step(self._steps.send, None)

    def _step(self, resume: Callable[[Any], Any], value: Any) -> None:
        try:
            self._waits_for = resume(value)
        except StopIteration:
            self.is_done = True
