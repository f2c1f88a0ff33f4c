"""Whether a worker lives: its main loop turns, and it reports to the database.

A main loop that stands still fetches nothing and learns of no task's end; to start the worker anew helps. Nothing of
that helps while the database or the broker is away: then the loop may stand still because it waits, and is not judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NEVER = -float("inf")


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to whoever asks, and why it is no."""

    is_well: bool
    reason: str = "ok"


class Pulse:
    """Told by the main loop and by the thread that reports; asked by others. All of it is read and written at once."""

    def __init__(self, within: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`within` is how long either may be silent."""
        self._within, self._clock = within, clock
        #: Nothing is known of the loop before it turns for the first time, and of one that is not watched.
        self._looped_at: float | None = None
        self._reported_at = self._lost_at = NEVER
        #: When the thread that reports was last heard, whether it could report or not.
        self._tried_at = clock()
        self._is_waiting = self._is_ending = False

    def loop(self) -> None:
        """The main loop has turned."""
        self._looped_at = self._clock()

    def report(self) -> None:
        """The worker's row is written."""
        self._reported_at = self._tried_at = self._clock()

    def lose(self) -> None:
        """The row could not be written: the database is away."""
        self._lost_at = self._tried_at = self._clock()

    @contextmanager
    def waiting_for_broker(self) -> Iterator[None]:
        """Meanwhile the loop stands still, and that is right."""
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False
            if self._looped_at is not None:
                self.loop()

    def end(self) -> None:
        """The worker finishes what it is at, and its loop turns no more."""
        self._is_ending = True

    def health(self) -> Health:
        """Whether to leave it alone."""
        if self._is_ending:
            return Health(is_well=True)
        if self._is_silent(self._tried_at):
            return Health(is_well=False, reason="the thread that reports to the database stands still")
        if self._looped_at is None or self._is_waiting:
            return Health(is_well=True)
        if self._is_silent(max(self._looped_at, self._lost_at)):
            return Health(is_well=False, reason="the main loop stands still")
        return Health(is_well=True)

    def readiness(self) -> Health:
        """Whether it takes and records tasks."""
        health = self.health()
        if not health.is_well:
            return health
        if self._is_ending:
            return Health(is_well=False, reason="the worker is stopping")
        if self._lost_at > self._reported_at or self._is_silent(self._reported_at):
            return Health(is_well=False, reason="the worker does not report to the database")
        if self._is_waiting:
            return Health(is_well=False, reason="the worker waits for the broker")
        return Health(is_well=True)

    def _is_silent(self, since: float) -> bool:
        return self._clock() - since > self._within
