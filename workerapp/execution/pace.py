"""When the next request to an endpoint may start: rate limits hold all its requests back, the oldest goes first."""

from __future__ import annotations

import asyncio
import itertools
from heapq import heappop, heappush

#: A timer that fires late by so much does not lower the rate.
_LATE_SECONDS = 0.01


class TooLate(Exception):
    """The next request may only start after the deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Pace:
    """Shared by all requests to one endpoint, on one loop.

    Requests that wait are let go in the order in which their tests began: were they to race after every hold, an
    unlucky one would lose each time and run out of time.
    """

    def __init__(self, per_second: float | None = None) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._not_before = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, seconds: float) -> None:
        """Let nothing start for so long; never shortens an earlier hold."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)

    async def turn(self, since: float, deadline: float) -> None:
        """Wait for this request's turn; `since` is when its test began."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._not_before <= now and not self._waiting:
            self._started(now)
            return
        if self._not_before > deadline:
            raise TooLate(self._not_before - now)
        future = loop.create_future()
        heappush(self._waiting, (since, next(self._count), future))
        if self._timer is None:
            self._timer = loop.call_at(self._not_before, self._let_go)
        await future

    def _let_go(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._waiting and self._not_before <= loop.time():
            future = heappop(self._waiting)[2]
            if not future.done():  # Else its test gave up waiting.
                future.set_result(None)
                self._started(loop.time())
        if self._waiting:
            self._timer = loop.call_at(self._not_before, self._let_go)

    def _started(self, now: float) -> None:
        if self._interval:
            self._not_before = max(self._not_before, now - _LATE_SECONDS) + self._interval
