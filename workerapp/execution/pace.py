"""When the next request to an endpoint may start: rate limits hold all its requests back, the oldest goes first."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from heapq import heappop, heappush

from workerapp.execution.rate import LATE_SECONDS, Rate


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

    def __init__(self, rate: Rate | None = None, news: asyncio.Event | None = None) -> None:
        """`news` is set when the endpoint has asked for a hold that others should know of."""
        self._rate = rate
        self._news = news or asyncio.Event()
        self._not_before = 0.0
        self._asked_until = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._begun: deque[float] = deque()
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, seconds: float) -> None:
        """Let nothing start for so long; never shortens an earlier hold."""
        self.join_hold(seconds)
        self._asked_until = max(self._asked_until, asyncio.get_running_loop().time() + seconds)
        self._news.set()

    def join_hold(self, seconds: float) -> None:
        """The same, when somebody else was asked for it."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)

    def take_hold(self) -> float:
        """For how many seconds others should hold too; 0: nothing new. It is told once."""
        seconds, self._asked_until = self._asked_until - asyncio.get_running_loop().time(), 0.0
        return max(seconds, 0.0)

    async def begin(self) -> None:
        """Wait until a test's first request may start, before the test's own time runs; it then has its turn at once.

        What the endpoint itself asks to wait is not waited for here.
        """
        loop = asyncio.get_running_loop()
        if self._rate is None or self._not_before > loop.time():
            return
        await self._wait(math.inf)
        self._begun.append(loop.time())

    async def turn(self, since: float, deadline: float) -> None:
        """Wait for this request's turn; `since` is when its test began.

        Raises:
            TooLate: the endpoint asks to wait longer than that.
        """
        now = asyncio.get_running_loop().time()
        while self._begun and self._begun[0] < now - LATE_SECONDS:
            self._begun.popleft()
        if self._not_before > now:
            if self._not_before > deadline:
                raise TooLate(self._not_before - now)
        elif self._begun:
            self._begun.popleft()
            return
        await self._wait(since)

    def look(self) -> None:
        """More is known of when requests may start."""
        if self._timer is not None:
            self._timer.cancel()
        self._let_go()

    async def _wait(self, since: float) -> None:
        now = asyncio.get_running_loop().time()
        if not self._waiting and self._next_start(now) <= now:
            self._started(now)
            return
        future = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (since, next(self._count), future))
        if self._timer is None:
            self._set_timer(now)
        await future

    def _let_go(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        while self._waiting and self._next_start(now) <= now:
            future = heappop(self._waiting)[2]
            if not future.done():  # Else its test gave up waiting.
                future.set_result(None)
                self._started(now)
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        """A start that is not known yet will be told; until then there is nothing to wait for."""
        if self._rate is not None:
            self._rate.want(now, len(self._waiting))
        start = self._next_start(now)
        if self._waiting and start < math.inf:
            self._timer = asyncio.get_running_loop().call_at(start, self._let_go)

    def _next_start(self, now: float) -> float:
        earliest = max(now, self._not_before)
        return max(self._not_before, self._rate.next_start(earliest) if self._rate is not None else 0.0)

    def _started(self, now: float) -> None:
        if self._rate is not None:
            self._rate.use(now)
