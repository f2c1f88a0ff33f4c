"""Makes attempts: one request each, to nowhere that the policy refuses, whose answer is known by its head."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

import aiohttp
from yarl import URL

from workerapp.contract.json_values import storable_text
from workerapp.contract.outbound import OutboundPolicy, OutboundRefused
from workerapp.db.sealing import SealingUnavailable
from workerapp.execution.failures import FailureReader, retry_after
from workerapp.execution.guard import guarded_session, read_for
from workerapp.setting_groups import WebhookSettings
from workerapp.tracing.request import names_a_trace, tell_answer
from workerapp.tracing.span import Span, ending
from workerapp.tracing.traces import OFF, Traces
from workerapp.webhooks.attempt import Attempt, Claim, Outcome
from workerapp.webhooks.lateness import Lateness, Stopwatch
from workerapp.webhooks.message import Composer, Message
from workerapp.webhooks.span import begin_delivery

logger = logging.getLogger(__name__)

#: Of an answer's body: how much is read, and for how long.
EXCERPT_BYTES, EXCERPT_SECONDS = 4096, 1.0
ERROR_LENGTH = 500
#: A connection is used again only for so long: many servers close idle ones after five seconds, and a request that
#: comes just then fails.
KEPT_SECONDS = 3.0
UNSEALED = (
    "the secrets of this webhook could not be opened; has the key they were stored with been taken out of"
    " GATEWAY_SECRET_KEYS? Nothing was sent"
)
_OK, _REDIRECT, _CLIENT_ERROR = 200, 300, 400


class Sender:
    """Sends while it is entered, any number of messages at once."""

    def __init__(
        self, composer: Composer, policy: OutboundPolicy, settings: WebhookSettings, traces: Traces = OFF
    ) -> None:
        self._composer, self._policy, self._settings, self._traces = composer, policy, settings, traces
        self._lateness = Lateness()
        self._opened = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout)
        session = guarded_session(self._policy, timeout=timeout, keepalive_seconds=KEPT_SECONDS)
        self._session = await self._opened.enter_async_context(session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def attempt(self, claim: Claim) -> Attempt:
        """Make one attempt; whatever goes wrong is its result, except that it is cancelled."""
        try:
            self._policy.check_url(claim.url)
            message = self._composer.compose(claim, datetime.now(UTC))
        except OutboundRefused as refusal:
            return Attempt(claim=claim, outcome=Outcome.FAILED, error=storable_text(str(refusal))[:ERROR_LENGTH])
        except SealingUnavailable:
            return Attempt(claim=claim, outcome=Outcome.FAILED, error=UNSEALED)
        with ending(begin_delivery(self._traces, claim)) as span, self._lateness.measuring() as stopwatch:
            return await self._request(claim, message, stopwatch, span)

    async def _request(self, claim: Claim, message: Message, stopwatch: Stopwatch, span: Span) -> Attempt:
        timeout = self._settings.timeout
        failures = FailureReader(
            URL(message.url), message.headers, excerpt_length=self._settings.excerpt_length, secrets=message.secrets
        )
        try:
            return await self._post(claim, message, failures, stopwatch, span)
        except (aiohttp.ClientError, OutboundRefused, OSError) as error:
            failure = failures.of_exception(error, connect_timeout=timeout, timeout=timeout)
            span.fail(failure.reason.code)
            return Attempt(
                claim=claim,
                outcome=Outcome.FAILED,
                error=failure.reason.message[:ERROR_LENGTH],
                duration_ms=stopwatch.passed,
            )

    async def _post(
        self, claim: Claim, message: Message, failures: FailureReader, stopwatch: Stopwatch, span: Span
    ) -> Attempt:
        assert self._session is not None, "attempt inside `async with sender`"
        own = message.headers
        headers = own if names_a_trace(own) else {**own, **span.request_headers}
        async with self._session.post(
            message.url, data=message.body, headers=headers, allow_redirects=False
        ) as response:
            duration_ms = stopwatch.waited
            tell_answer(span, response.status)
            outcome = _outcome(response.status)
            return Attempt(
                claim=claim,
                outcome=outcome,
                http_status=response.status,
                error=None if outcome is Outcome.DELIVERED else _error(response.status),
                excerpt=await self._excerpt(response, failures),
                duration_ms=duration_ms,
                retry_after=None if outcome is Outcome.DELIVERED else self._retry_after(response),
            )

    def _retry_after(self, response: aiohttp.ClientResponse) -> float | None:
        seconds = retry_after(response.headers.get("Retry-After"))
        return None if seconds is None else min(seconds, self._settings.retry_after_max)

    async def _excerpt(self, response: aiohttp.ClientResponse, failures: FailureReader) -> str | None:
        try:
            body, is_whole = await read_for(EXCERPT_SECONDS, response.content, EXCERPT_BYTES)
        except (aiohttp.ClientError, OSError):
            return None
        length = self._settings.excerpt_length
        text = failures.clean(body.decode("utf-8", "replace"))
        if not is_whole or len(text) > length:
            text = failures.clean_beginning(text[:length])
        return text or None


def _outcome(status: int) -> Outcome:
    if _OK <= status < _REDIRECT:
        return Outcome.DELIVERED
    return Outcome.GONE if status == HTTPStatus.GONE else Outcome.FAILED


def _error(status: int) -> str:
    if _REDIRECT <= status < _CLIENT_ERROR:
        return f"the receiver answered HTTP {status}; redirects are not followed"
    if status == HTTPStatus.GONE:
        return "the receiver answered HTTP 410: it wants no more"
    return f"the receiver answered HTTP {status}"
