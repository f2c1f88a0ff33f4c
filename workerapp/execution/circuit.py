"""A circuit breaker: an endpoint that is plainly down is not asked any more, so that its run ends early."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from enum import Enum

from workerapp.contract.reasons import ErrorCode, ErrorReason
from workerapp.execution.exchange import Answer

#: There was nobody to ask, or nothing to ask with; anything that the endpoint says itself shows that it is up.
_UNREACHED = frozenset({ErrorCode.CONNECT_FAILED, ErrorCode.AUTH_FAILED})


class CircuitNews(Enum):
    """What others should know."""

    OPENED = "opened"
    CLOSED = "closed"


class Circuit:
    """Opens after so many tests in a row that did not reach the endpoint.

    When its time is over, tests wait until it is known whether another one reaches the endpoint, here or elsewhere: one
    that does closes it. `news` is set when there is something to tell, or somebody waits.
    """

    def __init__(self, most: int, *, seconds: float = math.inf, news: asyncio.Event | None = None) -> None:
        """`most` 0: it never opens."""
        self._most, self._in_row, self._seconds = most, 0, seconds
        self._news = news or asyncio.Event()
        self._until = 0.0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        #: Why it is open; none: it is closed.
        self.reason: ErrorReason | None = None
        self.untold: CircuitNews | None = None
        #: Whether the one test that tries for all others is one of ours.
        self.is_trying = False

    @property
    def is_open(self) -> bool:
        """Whether nobody is to ask at the moment."""
        return self.reason is not None and asyncio.get_running_loop().time() < self._until

    @property
    def has_waiting(self) -> bool:
        """Whether somebody would try."""
        return any(not future.done() for future in self._waiting)

    async def refusal(self) -> ErrorReason | None:
        """Why a test is not asked; none if it may be."""
        while self.reason is not None:
            if self.is_open:
                return self.reason
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            self._news.set()
            if await future:
                return None
        return None

    def note(self, answer: Answer) -> None:
        """Take account of how a test ended; one that ended otherwise than by a failure to reach says little."""
        is_unreached = answer.error is not None and answer.error.code in _UNREACHED
        if answer.http_status is not None or (self.is_trying and not is_unreached):
            self._in_row = 0
            if self.reason is not None:
                self.close()
                self._tell(CircuitNews.CLOSED)
        elif is_unreached and answer.error is not None:
            self._in_row += 1
            if not self.is_open and (self.is_trying or 0 < self._most <= self._in_row):
                self.open(self._because(answer.error), self._seconds)
                self._tell(CircuitNews.OPENED)

    def open(self, reason: ErrorReason, seconds: float) -> None:
        """Ask nobody for so long; with no time left, until somebody has tried."""
        self.reason, self._until = reason, asyncio.get_running_loop().time() + seconds
        if seconds > 0:
            self._decide()

    def close(self) -> None:
        """Ask again."""
        self.reason = None
        self._decide()

    def let_one_try(self) -> None:
        """One of those who wait asks for all others."""
        self.is_trying = True
        self._next_waiting().set_result(True)

    def told(self, news: CircuitNews) -> None:
        """Others know that now."""
        if self.untold is news:
            self.untold = None

    def _tell(self, news: CircuitNews) -> None:
        self.untold = news
        self._news.set()

    def _decide(self) -> None:
        """Those who wait look again."""
        self.is_trying = False
        while self.has_waiting:
            self._next_waiting().set_result(False)
        self._waiting.clear()

    def _next_waiting(self) -> asyncio.Future[bool]:
        while (future := self._waiting.popleft()).done():
            pass
        return future

    def _because(self, error: ErrorReason) -> ErrorReason:
        tests = "1 test" if self._in_row == 1 else f"{self._in_row} tests in a row"
        message = f"the endpoint was not asked, as {tests} could not reach it; the last one: {error.message}"
        return ErrorReason(ErrorCode.CIRCUIT_OPEN, message, retryable=True)
