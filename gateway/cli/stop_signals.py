"""Turns the first request to stop into an exception, and counts those that follow."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

STOP_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HURRY = 2


class Stopped(BaseException):
    """Somebody asked this process to stop; not an `Exception`, so that nothing takes it for a failure."""


class StopSignals:
    """Within its `with` block SIGINT, SIGTERM and SIGHUP raise `Stopped`, once; a second one says to hurry."""

    def __init__(self) -> None:
        self._count = 0
        self._is_stopping = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        for number in STOP_REQUESTS:
            self._before[number] = signal.signal(number, self._count_one)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def is_hurry(self) -> bool:
        """Whether stopping in good order is not wanted any more."""
        return self._count >= _HURRY

    def stopping(self) -> bool:
        """Say that everything is being stopped: nothing is raised from now on. Tells whether somebody asked for it."""
        self._is_stopping = True
        return self._count > 0

    def _count_one(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if not self._is_stopping:
            self._is_stopping = True
            raise Stopped
