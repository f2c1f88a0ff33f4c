"""The application under test, asked over HTTP: retries, keeps to rate limits and to the time of a test."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from yarl import URL

from workerapp.contract.endpoint_secrets import secret_values
from workerapp.contract.invocation import SentRequest
from workerapp.contract.outbound import OutboundPolicy, OutboundRefused
from workerapp.contract.reasons import ErrorCode, ErrorReason, Timeout
from workerapp.contract.specs import EndpointSpec
from workerapp.contract.template import TemplateFailed
from workerapp.execution.admission import Admission, sole_admission
from workerapp.execution.credentials import Credentials, TokenCache, TokenFailed, TokenLimits
from workerapp.execution.exchange import Answer, Question
from workerapp.execution.failures import Failure, FailureReader
from workerapp.execution.guard import guarded_session
from workerapp.execution.measures import ANSWERED, BROKEN_OFF, REQUESTS
from workerapp.execution.pace import TooLate
from workerapp.execution.request import RenderedRequest, RequestBuilder
from workerapp.execution.request_spans import RequestSpans
from workerapp.execution.response import ResponseReader
from workerapp.execution.trace import Trace
from workerapp.tracing.request import tell_answer
from workerapp.tracing.span import Span

#: Beside the output of a stream: milliseconds from the request to the first piece.
FIRST_PIECE = "time_to_first_token_ms"
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLimits:
    """What is not the endpoint's own to choose."""

    backoff_seconds: float = 0.5
    backoff_max_seconds: float = 8.0
    #: An endpoint that says "Retry-After: 0" is still given a moment.
    shortest_hold_seconds: float = 0.1
    dns_seconds: int = 30
    keepalive_seconds: float = 15.0
    excerpt_length: int = 200
    #: Tests in a row that do not reach the endpoint before it is not asked any more; 0: never.
    circuit_tests: int = 25
    #: Characters that the answers to all turns of a test may have together.
    conversation_length: int = 4_000_000
    token: TokenLimits = field(default_factory=TokenLimits)


@dataclass(slots=True)
class _Progress:
    """How far one question is, for the answer to tell when its time runs out."""

    began: float
    deadline: float
    question: Question
    trace: Trace | None = None
    attempts: int = 0
    sent: float | None = None
    latency_ms: float | None = None
    last: Failure | None = None
    credentials: dict[str, str] = field(default_factory=dict, repr=False)
    authenticated_again: bool = False


class Target:
    """One endpoint and its connections; asks as many questions at once as its user starts."""

    def __init__(
        self,
        spec: EndpointSpec,
        policy: OutboundPolicy,
        *,
        per_test_timeout: float = 30.0,
        limits: TargetLimits | None = None,
        tokens: TokenCache | None = None,
        admission: Admission | None = None,
    ) -> None:
        """Without an `admission` the target asks as if nobody else asked the endpoint.

        `tokens` are those that earlier targets have fetched, and takes those that this one does.
        """
        self._spec, self._policy, self._per_test_timeout = spec, policy, per_test_timeout
        self._limits = limits or TargetLimits()
        self._builder = RequestBuilder(spec)
        self._failures = FailureReader(
            URL(spec.url), spec.headers, excerpt_length=self._limits.excerpt_length, secrets=secret_values(spec)
        )
        known = {} if tokens is None else tokens
        self._credentials = Credentials(spec.auth, policy, self._failures, known, self._limits.token)
        self._reader = ResponseReader(spec, self._failures)
        self._refusal = _refusal(policy, spec.url)
        self._spans = RequestSpans(spec, self._failures.clean)
        admission = admission or sole_admission(spec.requests_per_second, self._limits.circuit_tests)
        self._pace, self._circuit = admission.pace, admission.circuit
        self._open = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        limits, spec = self._limits, self._spec
        self._session = guarded_session(
            self._policy,
            timeout=aiohttp.ClientTimeout(total=spec.timeout, connect=spec.connect_timeout),
            headers=self._builder.fixed_headers,
            dns_seconds=limits.dns_seconds,
            keepalive_seconds=limits.keepalive_seconds,
        )
        await self._open.enter_async_context(self._session)
        await self._open.enter_async_context(self._credentials)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()
        self._session = None

    @property
    def limits(self) -> TargetLimits:
        return self._limits

    async def begin(self) -> None:
        """Wait until the endpoint's rate admits a question; asked at once, it has its whole time left."""
        await self._pace.begin()

    def deadline(self) -> float:
        """When a test that begins now must have ended, on the clock of the loop."""
        return asyncio.get_running_loop().time() + self._per_test_timeout

    async def ask(self, question: Question, trace: Trace | None = None, *, deadline: float | None = None) -> Answer:
        """Ask one question; whatever goes wrong with the endpoint is in the answer, and only cancelling raises.

        `trace` is told what is sent and what comes. `deadline` is that of the test the question belongs to, where it
        has begun before.
        """
        if self._refusal is not None:
            return Answer(error=self._refusal)
        try:
            request = self._builder.build(question)
        except TemplateFailed as exc:
            reason = f"the request template could not be rendered: {exc}"
            return Answer(error=self._failures.of(ErrorCode.TEMPLATE_FAILED, reason).reason)
        ends_at, asked_at = deadline or self.deadline(), asyncio.get_running_loop().time()
        refusal = await self._circuit.refusal()
        if refusal is not None:
            return Answer(error=refusal)
        # That another test tries whether the endpoint is there takes none of this one's time.
        ends_at += asyncio.get_running_loop().time() - asked_at
        progress = _Progress(ends_at - self._per_test_timeout, ends_at, question, trace)
        try:
            async with asyncio.timeout_at(progress.deadline):
                answer = await self._ask(request, progress)
        except TimeoutError:
            answer = self._timed_out(progress)
        self._circuit.note(answer)
        return answer

    async def _ask(self, request: RenderedRequest, progress: _Progress) -> Answer:
        while True:
            try:
                await self._pace.turn(progress.began, progress.deadline)
            except TooLate as exc:
                return self._rate_limited(progress, exc.seconds)
            outcome = await self._request(request, progress)
            REQUESTS.observe((progress.latency_ms or 0.0) / 1000, _told(outcome))
            if isinstance(outcome, Answer):
                return outcome
            progress.last = outcome
            if outcome.hold is not None:
                # Turned away is not tried: it costs the test its time, and nothing else.
                progress.attempts -= 1
                self._pace.hold(max(outcome.hold, self._limits.shortest_hold_seconds))
                continue
            if self._may_authenticate_again(outcome, progress):
                progress.attempts -= 1
                continue
            if not await self._may_retry(outcome, progress):
                return _failed(outcome, progress)

    def _may_authenticate_again(self, failure: Failure, progress: _Progress) -> bool:
        """Once for each test: a token may have been withdrawn before its time."""
        if failure.http_status != _UNAUTHORIZED or progress.authenticated_again:
            return False
        progress.authenticated_again = True
        return self._credentials.refused(progress.credentials)

    async def _may_retry(self, failure: Failure, progress: _Progress) -> bool:
        """Wait before the next attempt, if there is one."""
        if not failure.reason.retryable or progress.attempts >= self._spec.max_attempts or self._circuit.is_open:
            return False
        delay = min(self._limits.backoff_seconds * 2 ** (progress.attempts - 1), self._limits.backoff_max_seconds)
        delay *= random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        if asyncio.get_running_loop().time() + delay >= progress.deadline:
            return False
        await asyncio.sleep(delay)
        return True

    async def _request(self, request: RenderedRequest, progress: _Progress) -> Answer | Failure:
        loop, spec = asyncio.get_running_loop(), self._spec
        progress.attempts += 1
        progress.sent = loop.time()
        try:
            progress.credentials = await self._credentials.headers()
            with self._spans.begin(progress.question, progress.attempts) as span:
                progress.sent = loop.time()
                outcome = await self._exchange(request, progress, span)
                tell_answer(span, outcome.http_status, outcome.reason.code if isinstance(outcome, Failure) else None)
                return outcome
        except TokenFailed as exc:
            return exc.failure
        except (aiohttp.ClientError, OutboundRefused, OSError) as exc:
            return self._failures.of_exception(exc, connect_timeout=spec.connect_timeout, timeout=spec.timeout)
        except asyncio.CancelledError:
            REQUESTS.observe(loop.time() - progress.sent, BROKEN_OFF)
            raise
        finally:
            progress.latency_ms = _milliseconds(loop.time() - progress.sent)

    async def _exchange(self, request: RenderedRequest, progress: _Progress, span: Span) -> Answer | Failure:
        assert self._session is not None, "ask inside `async with target`"
        loop, spec, sent = asyncio.get_running_loop(), self._spec, progress.sent or 0.0
        silence = asyncio.timeout(spec.first_byte_timeout)
        first_piece: list[float] = []

        def began() -> None:
            first_piece.append(_milliseconds(loop.time() - sent))
            if not silence.expired():
                silence.reschedule(None)

        headers = {**request.headers, **progress.credentials, **self._spans.headers(span)}
        if progress.trace is not None:
            self._tell(progress.trace, request, headers, progress.credentials)
        sending = self._session.request(
            spec.method, request.url, data=request.body, headers=headers or None, allow_redirects=False
        )
        try:
            async with silence, sending as response:
                content = response.content if progress.trace is None else progress.trace.received(response)
                outcome = await self._reader.read(response, began, content)
        except TimeoutError:
            if silence.expired():
                return self._failures.of_silence(spec.first_byte_timeout or 0.0)
            raise
        if isinstance(outcome, Failure):
            return outcome
        return Answer(
            output=outcome.output,
            extra={FIRST_PIECE: first_piece[0], **outcome.extra} if spec.stream and first_piece else outcome.extra,
            http_status=response.status,
            latency_ms=_milliseconds(loop.time() - sent),
            attempts=progress.attempts,
        )

    def _tell(
        self, trace: Trace, request: RenderedRequest, headers: dict[str, str], credentials: dict[str, str]
    ) -> None:
        sent = SentRequest(
            method=self._spec.method,
            url=str(request.url),
            headers=self._builder.fixed_headers | headers,
            body=None,
        )
        secret = (*self._spec.headers, *credentials)
        trace.sent(sent, body=request.body, secret_headers=secret, cleaner=self._failures)

    def _rate_limited(self, progress: _Progress, seconds: float) -> Answer:
        message = f"the endpoint asks to wait {seconds:.1f} seconds more, longer than the test has time"
        if progress.last is not None:
            message += f"; {progress.last.reason.message}"
        status = progress.last.http_status if progress.last else None
        failure = self._failures.of(ErrorCode.RATE_LIMITED, message, status=status, retryable=True)
        return _failed(failure, progress)

    def _timed_out(self, progress: _Progress) -> Answer:
        message = f"the test's {self._per_test_timeout:g} seconds were over in attempt {max(progress.attempts, 1)}"
        if progress.last is not None:
            message += f"; before that {progress.last.reason.message}"
        failure = self._failures.of(ErrorCode.TIMEOUT, message, retryable=True, timeout=Timeout.TEST)
        return _failed(failure, progress)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _told(outcome: Answer | Failure) -> str:
    return outcome.reason.code if isinstance(outcome, Failure) else ANSWERED


def _failed(failure: Failure, progress: _Progress) -> Answer:
    return Answer(
        http_status=failure.http_status,
        latency_ms=progress.latency_ms,
        attempts=progress.attempts,
        error=failure.reason,
    )


def _refusal(policy: OutboundPolicy, url: str) -> ErrorReason | None:
    try:
        policy.check_url(url)
    except OutboundRefused as exc:
        return ErrorReason(ErrorCode.REFUSED_URL, str(exc))
    return None
