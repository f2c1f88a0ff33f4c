"""How many of a lane's tests may be under way at once, where that may change at any time."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from workerapp.execution.measures import PLACE_WAITS


class Places:
    """Taken by each test while it is under way (`async with places`), in the order in which they came.

    When the limit falls, what is under way goes on; `news` is set when so much of it has ended that the limit holds.
    """

    def __init__(self, limit: int, *, wanted: int | None = None, news: asyncio.Event | None = None) -> None:
        """`wanted` is how many there is use for; the limit, if nothing else is said."""
        self.limit, self.used = limit, 0
        #: How many nobody else may take, as others know it.
        self.granted = limit
        self._most = limit if wanted is None else wanted
        self.wanted = self._most
        self._news = news or asyncio.Event()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._none_since = monotonic()

    async def __aenter__(self) -> None:
        if self.used < self.limit and not self._waiting:
            self.used += 1
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        began = monotonic()
        try:
            await future
            PLACE_WAITS.observe(monotonic() - began)
        except asyncio.CancelledError:
            if not future.cancelled():
                self._give_back()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    @property
    def kept(self) -> int:
        """How many are not free for others: those that are used, and those that may be at any moment."""
        return max(self.used, self.limit)

    def want(self, count: int) -> None:
        """Tell how many there is use for; 0: nothing more is begun."""
        self.wanted = min(count, self._most)

    def lower(self) -> None:
        """Do without what there is no use for."""
        self.limit = min(self.limit, self.wanted)

    def allow(self, limit: int, *, kept: int) -> None:
        """Change the limit; others know that so many are kept until they are given back."""
        if self.limit > 0:
            self._none_since = monotonic()
        self.limit, self.granted = min(limit, self.wanted), max(limit, kept)
        self._let_in()

    def seconds_without(self) -> float:
        """For how long there has been nothing to work with."""
        return 0.0 if self.limit or self.used else monotonic() - self._none_since

    def _give_back(self) -> None:
        self.used -= 1
        self._let_in()
        if self.granted > self.limit == self.used:
            self._news.set()

    def _let_in(self) -> None:
        while self._waiting and self.used < self.limit:
            future = self._waiting.popleft()
            if not future.done():
                self.used += 1
                future.set_result(None)
