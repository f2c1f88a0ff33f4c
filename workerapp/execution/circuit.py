"""A circuit breaker: an endpoint that is plainly down is not asked any more, so that its run ends early."""

from __future__ import annotations

from workerapp.contract.reasons import ErrorCode, ErrorReason
from workerapp.execution.exchange import Answer

#: There was nobody to ask, or nothing to ask with; anything that the endpoint says itself shows that it is up.
_UNREACHED = frozenset({ErrorCode.CONNECT_FAILED, ErrorCode.AUTH_FAILED})


class Circuit:
    """Opens after so many tests in a row that did not reach the endpoint, and stays open."""

    def __init__(self, most: int) -> None:
        """0: never."""
        self._most, self._in_row = most, 0
        self._last: ErrorReason | None = None

    @property
    def is_open(self) -> bool:
        return 0 < self._most <= self._in_row

    def note(self, answer: Answer) -> None:
        """Take account of how a test ended; one that ended otherwise than by a failure to reach says nothing."""
        if answer.http_status is not None:
            self._in_row = 0
        elif answer.error is not None and answer.error.code in _UNREACHED:
            self._in_row, self._last = self._in_row + 1, answer.error

    def refusal(self) -> ErrorReason:
        """Why a test is not asked."""
        last = "" if self._last is None else f"; the last one: {self._last.message}"
        message = f"the endpoint was not asked, as {self._in_row} tests in a row could not reach it{last}"
        return ErrorReason(ErrorCode.CIRCUIT_OPEN, message, retryable=True)
