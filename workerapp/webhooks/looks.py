"""When to look for deliveries: soon after news, ever more rarely while there is nothing, and never too often."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

#: Between two looks, however many hints come.
SPACING = 0.1
#: The pause after a look that found something, or after news.
SHORT_PAUSE = 0.05


class Looks:
    """The clock of whoever looks."""

    def __init__(self, longest: float, clock: Callable[[], float] = monotonic) -> None:
        self._longest, self._clock = longest, clock
        self._pause = SHORT_PAUSE
        self._looked_at = -float("inf")

    @property
    def seconds_left(self) -> float:
        """Until the next look is due."""
        return max(self._looked_at + max(self._pause, SPACING) - self._clock(), 0.0)

    def hear(self) -> None:
        """There may be something, or more of what was found."""
        self._pause = SHORT_PAUSE

    def look(self) -> None:
        """One begins now. What is heard from now on may not be seen by it."""
        self._looked_at = self._clock()
        self._pause = min(self._pause * 2, self._longest)
