"""Why a request failed, in a code and a sentence, and whether and when to try again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from workerapp.contract.json_values import storable_text
from workerapp.contract.outbound import OutboundRefused
from workerapp.contract.reasons import ErrorCode, ErrorReason, Timeout
from workerapp.execution.guard import RefusedAddress

_READ_FOR_EXCERPT = 8_192
_HARMLESS_HEADERS = frozenset({"accept", "content-type", "user-agent"})
_SHORTEST_SECRET = 4
_TOO_MANY, _UNAVAILABLE, _REQUEST_TIMEOUT = 429, 503, 408


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One request's failure; `hold` is how long the endpoint asks everybody to wait."""

    reason: ErrorReason
    http_status: int | None = None
    hold: float | None = None


class FailureReader:
    """Reads failures of one endpoint; knows its secrets, to leave them out of every sentence."""

    def __init__(
        self, url: URL, headers: Mapping[str, str], *, excerpt_length: int, secrets: Iterable[str] = ()
    ) -> None:
        self._where = f"{url.host}:{url.port}"
        self._secrets = sorted({*_secrets(url, headers), *secrets}, key=len, reverse=True)
        self._excerpt_length = excerpt_length

    def keep_secret(self, secret: str) -> None:
        """Leave it out of sentences from now on."""
        if secret not in self._secrets:
            self._secrets = sorted((*self._secrets, secret), key=len, reverse=True)

    def quote(self, status: int, body: bytes) -> str:
        """An answer in short."""
        return f"HTTP {status}{self._excerpt(body)}"

    def of_status(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        retryable = status >= 500 or status in {_REQUEST_TIMEOUT, _TOO_MANY}  # noqa: PLR2004 - server errors
        redirect = "; redirects are not followed" if 300 <= status < 400 else ""  # noqa: PLR2004 - redirections
        message = f"the endpoint answered HTTP {status}{redirect}{self._excerpt(body)}"
        hold = retry_after(headers.get("Retry-After")) if status in {_TOO_MANY, _UNAVAILABLE} else None
        return self.of(ErrorCode.HTTP_STATUS, message, status=status, retryable=retryable, hold=hold)

    def of_body(self, code: ErrorCode, status: int, problem: str, body: bytes) -> Failure:
        return self.of(code, f"the endpoint answered HTTP {status} {problem}{self._excerpt(body)}", status=status)

    def of_exception(self, exc: Exception, *, connect_timeout: float, timeout: float) -> Failure:
        refusal = _refusal(exc)
        if refusal is not None:
            return self.of(ErrorCode.REFUSED_URL, str(refusal))
        if isinstance(exc, aiohttp.ConnectionTimeoutError):
            message = f"no connection to {self._where} within {connect_timeout:g} seconds"
            return self.of(ErrorCode.CONNECT_FAILED, message, retryable=True, timeout=Timeout.CONNECT)
        if isinstance(exc, TimeoutError):
            message = f"{self._where} gave no complete answer within {timeout:g} seconds"
            return self.of(ErrorCode.TIMEOUT, message, retryable=True, timeout=Timeout.TOTAL)
        if isinstance(exc, aiohttp.ClientConnectorError):
            return self._of_connect(exc)
        if isinstance(exc, aiohttp.ClientResponseError):
            message = f"the answer of {self._where} is not valid HTTP: {exc.message}"
            return self.of(ErrorCode.RESPONSE_INVALID, message)
        message = f"the connection to {self._where} ended before the answer was complete"
        return self.of(ErrorCode.CONNECTION_LOST, message, retryable=True)

    def of_silence(self, seconds: float) -> Failure:
        message = f"{self._where} did not begin to answer within {seconds:g} seconds"
        return self.of(ErrorCode.TIMEOUT, message, retryable=True, timeout=Timeout.FIRST_BYTE)

    def of(
        self,
        code: ErrorCode,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        hold: float | None = None,
        timeout: Timeout | None = None,
    ) -> Failure:
        reason = ErrorReason(code, self.clean(message), retryable, timeout)
        return Failure(reason=reason, http_status=status, hold=hold)

    def _of_connect(self, exc: aiohttp.ClientConnectorError) -> Failure:
        cause = exc.os_error
        if isinstance(exc, aiohttp.ClientConnectorDNSError):
            message = f"the name {exc.host} does not resolve: {cause.strerror or cause}"
        else:
            message = f"no connection to {self._where}: {cause.strerror or cause}"
        # A certificate does not become valid by asking again.
        retryable = not isinstance(exc, aiohttp.ClientConnectorCertificateError)
        return self.of(ErrorCode.CONNECT_FAILED, message, retryable=retryable)

    def _excerpt(self, body: bytes) -> str:
        text = " ".join(self.clean(body[:_READ_FOR_EXCERPT].decode("utf-8", "replace")).split())
        if not text:
            return " and an empty body" if not body else ""
        return ": " + (text if len(text) <= self._excerpt_length else text[: self._excerpt_length] + "…")

    def clean(self, text: str) -> str:
        """The text with `***` in the place of secrets, as a database can store it."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return storable_text(text)

    def clean_beginning(self, text: str) -> str:
        """The same of a text that was cut off, at whose end a secret may have begun."""
        text = self.clean(text)
        begun = (_overlap(text, secret) for secret in self._secrets)
        return text[: len(text) - max(begun, default=0)]


def _overlap(text: str, secret: str) -> int:
    """With how many characters of the secret's beginning the text ends."""
    longest = min(len(text), len(secret) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(secret[:length])), 0)


def _refusal(exc: Exception) -> Exception | None:
    if isinstance(exc, (OutboundRefused, aiohttp.InvalidURL)):
        return exc
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else None
    return cause if isinstance(cause, RefusedAddress) else None


def _secrets(url: URL, headers: Mapping[str, str]) -> Iterable[str]:
    values = [value for name, value in headers.items() if name.lower() not in _HARMLESS_HEADERS]
    values += url.query.values()
    # "Bearer abc": an endpoint that quotes the key quotes it without the scheme.
    parts = {part.strip() for value in values for part in (value, *value.split())}
    return {part for part in parts if len(part) >= _SHORTEST_SECRET}


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number of seconds or an HTTP date; None when it is absent or unreadable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return math.nan
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
