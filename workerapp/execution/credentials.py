"""What authenticates a request: fixed headers, or a token that is fetched, kept until it expires, and fetched again."""

from __future__ import annotations

import asyncio
import math
from base64 import b64encode
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self, TypeAlias
from urllib.parse import quote

import aiohttp
from yarl import URL

from workerapp.contract.auth import AUTHORIZATION, Auth, ClientCredentialsAuth
from workerapp.contract.headers import check_value
from workerapp.contract.json_values import decode
from workerapp.contract.outbound import OutboundPolicy, OutboundRefused
from workerapp.contract.reasons import ErrorCode
from workerapp.execution.failures import Failure, FailureReader
from workerapp.execution.guard import guarded_session, read_at_most

_OK, _REDIRECT = 200, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimits:
    """What a token may cost; times in seconds."""

    timeout: float = 10.0
    max_bytes: int = 65_536
    #: A token is not used in its last seconds, nor in the last half of a life that is shorter than twice that.
    margin: float = 30.0
    #: The life of a token that does not tell its own.
    lifetime: float = 300.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and until when it is used, on the monotonic clock."""

    value: str
    fresh_until: float


#: Whoever has a definition has its secret, so a token belongs to the definition and not to a tenant.
TokenCache: TypeAlias = dict[ClientCredentialsAuth, Token]


class TokenFailed(Exception):
    """No token could be fetched; the failure says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason.message)
        self.failure = failure


class Credentials:
    """Headers that authenticate; for a token, those of the one that is fresh."""

    def __init__(
        self,
        auth: Auth | None,
        policy: OutboundPolicy,
        failures: FailureReader,
        tokens: TokenCache,
        limits: TokenLimits,
    ) -> None:
        self._fixed = {} if auth is None else auth.headers()
        self._source = None
        if isinstance(auth, ClientCredentialsAuth):
            self._source = _TokenSource(auth, policy, failures, tokens, limits)

    async def __aenter__(self) -> Self:
        if self._source is not None:
            self._source.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._source is not None:
            await self._source.close()

    async def headers(self) -> dict[str, str]:
        """What to send; a token is fetched when there is none.

        Raises:
            TokenFailed: it could not be.
        """
        if self._source is None:
            return self._fixed
        return {AUTHORIZATION: f"Bearer {await self._source.token()}"}

    def refused(self, headers: dict[str, str]) -> bool:
        """Told that these were refused: whether others may be had."""
        return self._source is not None and self._source.forget(headers)


class _TokenSource:
    def __init__(
        self,
        auth: ClientCredentialsAuth,
        policy: OutboundPolicy,
        failures: FailureReader,
        tokens: TokenCache,
        limits: TokenLimits,
    ) -> None:
        self._auth, self._policy, self._failures = auth, policy, failures
        self._tokens, self._limits = tokens, limits
        self._fetching = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        # A session of its own: the endpoint's headers are none of the token server's business.
        timeout = aiohttp.ClientTimeout(total=self._limits.timeout)
        self._session = guarded_session(self._policy, timeout=timeout, keepalive_seconds=1.0)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def token(self) -> str:
        """One that is fresh; of those that ask at once, one fetches it."""
        return self._fresh() or await self._fetch_once()

    def forget(self, headers: dict[str, str]) -> bool:
        """Only the token that was refused is forgotten, not one that another has fetched since."""
        token = self._tokens.get(self._auth)
        if token is not None and headers.get(AUTHORIZATION) == f"Bearer {token.value}":
            del self._tokens[self._auth]
        return True

    def _fresh(self) -> str | None:
        token = self._tokens.get(self._auth)
        if token is None or token.fresh_until <= monotonic():
            return None
        # Fetched by an earlier target, perhaps: this one must not quote it either.
        self._failures.keep_secret(token.value)
        return token.value

    async def _fetch_once(self) -> str:
        async with self._fetching:
            if (fresh := self._fresh()) is not None:
                return fresh
            token = await self._fetch()
            for auth in [auth for auth, kept in self._tokens.items() if kept.fresh_until <= monotonic()]:
                del self._tokens[auth]
            self._tokens[self._auth] = token
            self._failures.keep_secret(token.value)
            return token.value

    async def _fetch(self) -> Token:
        assert self._session is not None, "fetch inside `async with credentials`"
        asked_at = monotonic()
        try:
            self._policy.check_url(self._auth.token_url)
            headers, form = _token_request(self._auth)
            async with self._session.post(
                self._auth.token_url, data=form, headers=headers, allow_redirects=False
            ) as response:
                payload = await self._read(response)
        except OutboundRefused as exc:
            raise self._failed(f"the token URL may not be called: {exc}", retryable=False) from None
        except TimeoutError:
            raise self._failed(f"there was no answer within {self._limits.timeout:g} seconds", retryable=True) from None
        except (aiohttp.ClientError, OSError) as exc:
            raise self._failed(f"{type(exc).__name__}: {exc}", retryable=True) from None
        if not _OK <= response.status < _REDIRECT:
            said = f"{URL(self._auth.token_url).host} answered {self._failures.quote(response.status, payload)}"
            raise self._failed(said, retryable=response.status >= 500)  # noqa: PLR2004 - server errors
        return self._token_in(payload, asked_at)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        payload, is_whole = await read_at_most(response.content, self._limits.max_bytes)
        if not is_whole:
            raise self._failed(f"the answer has more than {self._limits.max_bytes} bytes", retryable=False)
        return payload

    def _token_in(self, payload: bytes, asked_at: float) -> Token:
        # Nothing of the answer is quoted: it may hold a token in a place that is not the standard's.
        try:
            answer = decode(payload)
        except (ValueError, RecursionError):
            raise self._failed("the answer is not JSON", retryable=False) from None
        value = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value or not _is_sendable(value):
            raise self._failed("the answer has no access_token that can be sent", retryable=False)
        lifetime = _seconds(answer.get("expires_in"), self._limits.lifetime)
        return Token(value, asked_at + lifetime - min(self._limits.margin, lifetime / 2))

    def _failed(self, problem: str, *, retryable: bool) -> TokenFailed:
        message = f"no token could be fetched from {URL(self._auth.token_url).host}: {problem}"
        return TokenFailed(self._failures.of(ErrorCode.AUTH_FAILED, message, retryable=retryable))


def _token_request(auth: ClientCredentialsAuth) -> tuple[dict[str, str], dict[str, str]]:
    form = {"grant_type": "client_credentials"}
    form |= {name: value for name in ("scope", "audience") if (value := getattr(auth, name)) is not None}
    headers = {"Accept": "application/json"}
    if auth.client_auth == "body":
        return headers, form | {"client_id": auth.client_id, "client_secret": auth.client_secret}
    # Both are form-encoded before they are joined (RFC 6749, section 2.3.1).
    pair = f"{quote(auth.client_id, safe='')}:{quote(auth.client_secret, safe='')}"
    return headers | {AUTHORIZATION: f"Basic {b64encode(pair.encode()).decode()}"}, form


def _is_sendable(token: str) -> bool:
    try:
        check_value(AUTHORIZATION, f"Bearer {token}")
    except ValueError:
        return False
    return True


def _seconds(value: Any, default: float) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return default
    return seconds if math.isfinite(seconds) and seconds >= 0 else default
