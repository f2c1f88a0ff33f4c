"""What can go wrong between a client and a gateway: one tree.

GatewayError
    AddressInvalid              the server's address or the key is none
    ServerUnreachable           no connection, or no answer in time
    NotAGateway                 something answered, but not as a gateway does
    StreamUnavailable           there is no stream to be had; the state can still be asked for
    WaitTimedOut                it has not ended in time
    RequestRefused              the gateway answered with a problem
        Invalid                 the request is wrong; `problem.errors` says where
        Unauthorized            the key is missing, wrong, expired or revoked
        Forbidden               the key may not do this
        NotFound                there is none, or it is another organization's
        Conflict                something in the way
        CursorExpired           what the cursor would go on with is no longer there
        RateLimited             too often or too much; `retry_after` says when to come back
        Unavailable             it cannot be served just now; the same
        ServerFailed            a fault of the server's
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar

import httpx
from pydantic import ValidationError

from gateway.client.models import Problem


class GatewayError(Exception):
    """Something went wrong; the message is a sentence for people."""

    #: Whether the same may go well a little later.
    may_pass: ClassVar[bool] = False
    #: Seconds to wait before, as the server says.
    retry_after: float | None = None


class AddressInvalid(GatewayError, ValueError):
    """The server's address or the key cannot be one."""


class ServerUnreachable(GatewayError):
    """There is no connection, or no answer in time."""

    may_pass = True


class NotAGateway(GatewayError):
    """What answered is none."""


class StreamUnavailable(GatewayError):
    """There is no stream to be had now; why is the cause."""


class WaitTimedOut(GatewayError, TimeoutError):
    """What was waited for has not ended in time."""


class RequestRefused(GatewayError):
    """The gateway refused a request; `problem` says why."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(_sentences(problem))
        self.problem = problem
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        """The name of what is wrong."""
        return self.problem.code


class Invalid(RequestRefused):
    """The request is wrong."""


class Unauthorized(RequestRefused):
    """Nobody known is asking."""


class Forbidden(RequestRefused):
    """The key may do other things."""


class NotFound(RequestRefused):
    """There is none, or it is another organization's."""


class Conflict(RequestRefused):
    """Something is in the way, for example what was archived or a name that is taken."""


class RequestInProgress(Conflict):
    """The same request is still at work: the connection broke before its answer came."""

    may_pass = True


class CursorExpired(RequestRefused):
    """What the cursor would go on with is no longer there."""


class RateLimited(RequestRefused):
    """Too often, or too much at once."""

    may_pass = True


class Unavailable(RequestRefused):
    """It cannot be served just now."""

    may_pass = True


class ServerFailed(RequestRefused):
    """A fault of the server's; its log has the reason under `problem.request_id`."""


_OF_CODES: dict[str, type[RequestRefused]] = {"idempotency_key_in_use": RequestInProgress}
_OF_STATUSES: dict[int, type[RequestRefused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: CursorExpired,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_FIRST_SERVER_ERROR = 500


def error_of(response: httpx.Response) -> GatewayError:
    """What an answer that is no success means."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return foreign(response)
    return _refusal_of(problem)(problem, _retry_after(response))


def unreachable(server: str, error: httpx.RequestError) -> ServerUnreachable:
    """What a request means that got no answer."""
    reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__
    return ServerUnreachable(f"{server} cannot be reached: {reason}")


def _refusal_of(problem: Problem) -> type[RequestRefused]:
    known = _OF_CODES.get(problem.code) or _OF_STATUSES.get(problem.status)
    return known or (ServerFailed if problem.status >= _FIRST_SERVER_ERROR else Invalid)


def foreign(response: httpx.Response) -> GatewayError:
    """What an answer means that no gateway gives."""
    said = (
        f"{response.request.url.copy_with(query=None)} answered HTTP {response.status_code}, and not as a gateway does"
    )
    if _OF_STATUSES.get(response.status_code) is Unavailable:
        # A proxy whose gateway is away.
        failure = ServerUnreachable(said)
        failure.retry_after = _retry_after(response)
        return failure
    return NotAGateway(f"{said}; is this the address of one?")


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _sentences(problem: Problem) -> str:
    first = problem.detail or problem.title or problem.code
    # The first sentence may have the first fault in it, with its place.
    others = (fault.detail for fault in problem.errors if fault.detail not in first)
    return "\n".join(dict.fromkeys((first, *others)))
