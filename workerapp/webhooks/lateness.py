"""How late this process is: no receiver is slow because its answer lies there unread.

A process with more attempts under way than it can keep up with would find every receiver slow, and those that are get
fewer attempts at once, out of what the ones that hang have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

TICK = 0.02


class Lateness:
    """Of an event loop, in all; it is looked at while somebody measures."""

    def __init__(self) -> None:
        self.seconds, self._users = 0.0, 0
        self._ticking: asyncio.Task[None] | None = None

    @contextmanager
    def measuring(self) -> Iterator[Stopwatch]:
        """Measure something that begins now."""
        self._users += 1
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick(monotonic()))
        try:
            yield Stopwatch(self)
        finally:
            self._users -= 1
            if not self._users:
                self._ticking.cancel()
                self._ticking = None

    async def _tick(self, due_at: float) -> None:
        while True:
            now = monotonic()
            self.seconds += max(now - due_at, 0.0)
            due_at = now + TICK
            await asyncio.sleep(TICK)


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self, lateness: Lateness) -> None:
        self._lateness, self._late, self._began = lateness, lateness.seconds, monotonic()

    @property
    def passed(self) -> float:
        """All of them."""
        return round((monotonic() - self._began) * 1000, 3)

    @property
    def waited(self) -> float:
        """Without those that the loop was late."""
        return max(round(self.passed - (self._lateness.seconds - self._late) * 1000, 3), 0.0)
