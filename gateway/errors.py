"""What callers see when something is wrong: one tree of errors, one form (RFC 9457 problems)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
#: `gateway.api.problems` answers there what the code means.
TYPE_PREFIX = "/problems/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is wrong with a request, and where.

    That is a line of the body, a JSON pointer into the body or into that line, or the name of a parameter.
    """

    detail: str
    line: int | None = None
    pointer: str | None = None
    parameter: str | None = None

    def as_json(self) -> dict[str, str | int]:
        """Without what is not said."""
        fields = {"line": self.line, "pointer": self.pointer, "parameter": self.parameter, "detail": self.detail}
        return {name: value for name, value in fields.items() if value is not None}


class ApiError(Exception):
    """An answer that is an error; the message is a sentence for the caller."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, *, faults: Iterable[Fault] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})


class InternalError(ApiError):
    """A fault of the server's."""

    status, code, title = 500, "internal_error", "Internal error"

    def __init__(self) -> None:
        super().__init__("The server failed to answer; its log has the reason under this request id.")


class BadRequest(ApiError):
    """The request cannot be read."""

    status, code, title = 400, "bad_request", "The request cannot be read"


class MalformedJson(ApiError):
    """The body is not JSON."""

    status, code, title = 400, "malformed_json", "The body is not JSON"


class IdempotencyKeyInvalid(ApiError):
    """The header Idempotency-Key has another form."""

    status, code, title = 400, "idempotency_key_invalid", "The idempotency key is not valid"


class Unauthorized(ApiError):
    """Nobody known is asking."""

    status = 401

    def __init__(self, detail: str, challenge: str = "Bearer") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class KeyMissing(Unauthorized):
    """No API key was sent."""

    code, title = "key_missing", "An API key is needed"


class KeyInvalid(Unauthorized):
    """The API key is unknown, expired or revoked."""

    code, title = "key_invalid", "The API key is not valid"


class KeyInUrl(Unauthorized):
    """An API key was sent where it does not belong."""

    code, title = "key_in_url", "An API key may not stand in a URL"


class TokenInvalid(Unauthorized):
    """The stream token was not made here, or its API key is good no more."""

    code, title = "token_invalid", "The stream token is not valid"


class TokenExpired(Unauthorized):
    """The stream token's time is over."""

    code, title = "token_expired", "The stream token has expired"


class StreamTokenRefused(ApiError):
    """The stream token opens other things."""

    status, code, title = 403, "stream_token_refused", "A stream token does not open this"


class ScopeMissing(ApiError):
    """The key may do other things."""

    status, code, title = 403, "scope_missing", "The key may not do this"


class NotFound(ApiError):
    """It does not exist, or not for this caller: the answers are the same."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(ApiError):
    """The path exists and takes other methods."""

    status, code, title = 405, "method_not_allowed", "The method is not allowed"


class UploadTooSlow(ApiError):
    """The body took too long to arrive."""

    status, code, title = 408, "upload_too_slow", "The upload took too long"

    def __init__(self, detail: str) -> None:
        # The rest of the body is still to come, and nobody waits for it.
        super().__init__(detail, headers={"Connection": "close"})


class Archived(ApiError):
    """What the request uses is archived."""

    status, code, title = 409, "archived", "Archived"


class NameTaken(ApiError):
    """Another one has the name."""

    status, code, title = 409, "name_taken", "The name is taken"


class RunNotEnded(ApiError):
    """What the request uses is a run that goes on."""

    status, code, title = 409, "run_not_ended", "The run has not ended"


class NothingToRun(ApiError):
    """A run was asked for that would have no tests."""

    status, code, title = 409, "nothing_to_run", "There is nothing to run"


class KeyEnded(ApiError):
    """What is to be replaced is a key that is good no more."""

    status, code, title = 409, "key_ended", "The key has ended"


class TooManyKeys(ApiError):
    """The organization has as many keys as it may."""

    status, code, title = 409, "too_many_keys", "There are too many keys"


class IdempotencyKeyInUse(ApiError):
    """Another request with the same key is still at work."""

    status, code, title = 409, "idempotency_key_in_use", "The idempotency key is in use"


class CursorExpired(ApiError):
    """What the cursor would continue with is no longer there."""

    status, code, title = 410, "cursor_expired", "The cursor has expired"


class BodyTooLarge(ApiError):
    """The body is over the limit."""

    status, code, title = 413, "body_too_large", "The body is too large"


class UnsupportedMediaType(ApiError):
    """The body is not declared as what is read here."""

    status, code, title = 415, "unsupported_media_type", "The body is of another type"


class ValidationFailed(ApiError):
    """Fields or parameters are wrong; the faults say which."""

    status, code, title = 422, "validation_failed", "The request is not valid"


class UrlRefused(ValidationFailed):
    """The endpoint's URL cannot or may not be called."""

    code, title = "url_refused", "The URL is refused"


class TemplateInvalid(ValidationFailed):
    """The request template does not compile."""

    code, title = "template_invalid", "The request template is not valid"


class MappingInvalid(ValidationFailed):
    """The response mapping does not compile."""

    code, title = "mapping_invalid", "The response mapping is not valid"


class PatternInvalid(ValidationFailed):
    """A metric's regular expression does not compile."""

    code, title = "pattern_invalid", "The regular expression is not valid"


class SecretsUnavailable(ValidationFailed):
    """The server has no key to seal header values with."""

    code, title = "secrets_unavailable", "This server cannot store secrets"


class EmptyTestSet(ValidationFailed):
    """There is nothing to run."""

    code, title = "empty_test_set", "The test set is empty"


class TooManyTests(ValidationFailed):
    """More tests than one request may bring."""

    code, title = "too_many_tests", "Too many tests"


class ImportInvalid(ValidationFailed):
    """Lines of the imported file are wrong; the faults say which."""

    code, title = "import_invalid", "The file is not valid"


class TaskNotAllowed(ValidationFailed):
    """The operator does not let callers submit this task."""

    code, title = "task_not_allowed", "The task is not allowed"


class QueueNotAllowed(ValidationFailed):
    """The operator does not let callers use this queue."""

    code, title = "queue_not_allowed", "The queue is not allowed"


class IdempotencyKeyReused(ValidationFailed):
    """The key was used for another request."""

    code, title = "idempotency_key_reused", "The idempotency key was used before"


class OrganizationStreamsFull(ApiError):
    """The organization has as many streams open as it may."""

    status, code, title = 429, "too_many_streams", "Too many streams are open"

    def __init__(self, detail: str, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class OrganizationImportsFull(ApiError):
    """The process reads as many imports of the organization as it may."""

    status, code, title = 429, "too_many_imports", "Too many imports are read"

    def __init__(self, detail: str, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Unavailable(ApiError):
    """It will work again, or soon for the first time."""

    status = 503

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    code, title = "database_unavailable", "The database is unavailable"


class StreamsFull(Unavailable):
    """The process has as many streams open as it may."""

    code, title = "streams_full", "The server has no room for another stream"


class ImportsFull(Unavailable):
    """The process reads as many imports as it may."""

    code, title = "imports_full", "The server has no room for another import"


class NotReady(Unavailable):
    """The server cannot serve yet."""

    code, title = "not_ready", "The server is not ready"


def problem(error: ApiError, request_id: str, trace_id: str | None = None) -> Response:
    """The answer for an error; `trace_id` is the caller's own name of what the request is a part of."""
    body = {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "request_id": request_id,
        "trace_id": trace_id or request_id,
    }
    if error.faults:
        body["errors"] = [fault.as_json() for fault in error.faults]
    return Response(json.dumps(body), error.status, error.headers, MEDIA_TYPE)


def as_api_error(error: Exception) -> ApiError | None:
    """The answer for an exception of a driver, or none when it is a fault of ours."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnavailable("The server has no free database connection at the moment; try again shortly.")
    if isinstance(error, OSError) or (isinstance(error, DBAPIError) and _is_outage(error)):
        return DatabaseUnavailable("The database cannot be reached at the moment; try again shortly.")
    return None


def _is_outage(error: DBAPIError) -> bool:
    """Whether the connection is gone, or the server has no place for us; anything else would fail again."""
    outages = (
        OSError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        # asyncpg's words for a connection that ends in the moment of a query.
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    )
    causes = (error.orig, error.orig.__cause__ if error.orig is not None else None)
    return error.connection_invalidated or any(isinstance(cause, outages) for cause in causes)
