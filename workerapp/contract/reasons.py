"""Why a test could not be executed: a stable code, a sentence, and whether asking again may help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """Stable: callers switch on these. Each names the outcome of the last attempt."""

    #: The endpoint answered with a status that is neither 2xx nor a rate limit; a redirect is one of these.
    HTTP_STATUS = "http_status"
    #: The endpoint limits the rate, and asks to wait longer than the test has time.
    RATE_LIMITED = "rate_limited"
    #: No complete answer within the time for a request or for the test.
    TIMEOUT = "timeout"
    #: No connection: the name does not resolve, the port is closed, TLS was refused.
    CONNECT_FAILED = "connect_failed"
    #: The connection ended before the answer was complete.
    CONNECTION_LOST = "connection_lost"
    #: The URL, or an address its name resolves to, may not be called.
    REFUSED_URL = "refused_url"
    #: So many tests in a row could not reach the endpoint that this one was not asked.
    CIRCUIT_OPEN = "circuit_open"
    #: No token for the request could be fetched, so it was not sent.
    AUTH_FAILED = "auth_failed"
    #: What came back is not HTTP, or is encoded in a way that cannot be read.
    RESPONSE_INVALID = "response_invalid"
    RESPONSE_NOT_JSON = "response_not_json"
    RESPONSE_TOO_LARGE = "response_too_large"
    #: The response is JSON, but has no value where the mapping looks for the output.
    OUTPUT_MISSING = "output_missing"
    #: The request template could not be rendered for this test.
    TEMPLATE_FAILED = "template_failed"


class Timeout(StrEnum):
    """Which time was over: stable, too."""

    CONNECT = "connect"
    FIRST_BYTE = "first_byte"
    TOTAL = "total"
    #: That of the test with all its retries.
    TEST = "test"


@dataclass(frozen=True, slots=True)
class ErrorReason:
    """The message names the HTTP status and quotes the answer where there is one; never a header value."""

    code: ErrorCode
    message: str
    retryable: bool = False
    #: Where a time was over.
    timeout: Timeout | None = None

    def as_json(self) -> dict[str, Any]:
        reason = {"code": self.code.value, "message": self.message, "retryable": self.retryable}
        return reason if self.timeout is None else reason | {"timeout": self.timeout.value}
