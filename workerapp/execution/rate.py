"""When requests may start by the rate of an endpoint: by one's own count, or by what is reserved among many."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Protocol

#: A timer that fires late by so much does not lower the rate.
LATE_SECONDS = 0.01
#: A reserved start that is used so late does not count as passed.
GRACE_SECONDS = 0.02
#: So much of the endpoint's time is reserved at once, at most: a few statements a second, whatever the rate.
BATCH_SECONDS = 0.25
#: So long before the last reserved start more are reserved, so that none is missed meanwhile.
AHEAD_SECONDS = 0.05


class Rate(Protocol):
    """The times at which requests may start, on the clock of the event loop."""

    def next_start(self, now: float) -> float:
        """When the next one may; infinite if that is not known yet."""

    def use(self, now: float) -> None:
        """One starts, at that time."""

    def want(self, now: float, count: int) -> None:
        """So many wait."""


class SteadyRate:
    """Of somebody who is the only one to ask."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    def next_start(self, now: float) -> float:
        """When the next one may start."""
        return self._next

    def use(self, now: float) -> None:
        """One starts."""
        self._next = max(self._next, now - LATE_SECONDS) + self._interval

    def want(self, now: float, count: int) -> None:
        """Nothing has to be asked for."""


class ReservedRate:
    """Of one of many who share a rate: each start is reserved before, and one that is not used passes.

    `news` is set when `due` has something to reserve.
    """

    def __init__(self, per_second: float, news: asyncio.Event) -> None:
        self.interval = 1 / per_second
        self._news = news
        self._starts: deque[float] = deque()
        self._waiting = self._used = 0
        self._span = BATCH_SECONDS
        self._is_due = False

    def next_start(self, now: float) -> float:
        """When the next one may start; a start that nobody was there to use cannot be made up for."""
        while self._starts and self._starts[0] < now - max(self.interval, GRACE_SECONDS):
            self._starts.popleft()
        return self._starts[0] if self._starts else math.inf

    def use(self, now: float) -> None:
        """One starts."""
        self._starts.popleft()
        self._used += 1

    def want(self, now: float, count: int) -> None:
        """More are reserved shortly before those that there are have passed."""
        self._waiting = count
        if count > len(self._starts) and (not self._starts or self._starts[-1] - now < AHEAD_SECONDS):
            self._is_due = True
            self._news.set()

    def due(self) -> int:
        """How many to reserve now: as many as wait, or are likely to come, as of the last ones so many were used."""
        if not self._is_due:
            return 0
        return max(1, min(max(self._waiting, 2 * self._used), int(self._span / self.interval)))

    def reserved(self, now: float, wait: float, count: int) -> None:
        """So many are reserved, and the first is so many seconds away."""
        self._starts.extend(now + max(wait, 0.0) + number * self.interval for number in range(count))
        self._is_due, self._used = False, 0
        # Who has to wait long is one of many: were all to reserve much, each would stand still for long.
        self._span = BATCH_SECONDS * min(1.0, BATCH_SECONDS / max(wait, BATCH_SECONDS))
