"""What surrounds every request: an id, a line in the access log, limits to its body, an answer if all else fails.

A stream is answered from out here, when everything between here and its handler has returned: a hundred thousand frames
of routing would otherwise wait with ten thousand streams.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BodyTooLarge, InternalError, UploadTooSlow, as_api_error, problem
from gateway.metrics import Metrics
from gateway.request_span import RequestSpan
from gateway.transport.answer_headers import REQUEST_ID_HEADER, AnswerHeaders
from workerapp.contract.logs import begin_log_context
from workerapp.tracing.span import current
from workerapp.tracing.traces import Traces

CLIENT_CLOSED = 499
#: Where a request's scope keeps what is known of the exchange.
EXCHANGE = "gateway.exchange"
#: And its body, if the limit is the one of most paths.
_BODY = "gateway.body"

SWITCHING_PROTOCOLS = 101
_BEGINNINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_LONGEST_ADDRESS = 60
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

access_log = logging.getLogger("gateway.access")
logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="-")
#: The trace that the request is a part of, or the id of the request.
trace_id: ContextVar[str] = ContextVar("trace_id", default="-")


def client_of(scope: Scope) -> str | None:
    """The address that asks; behind a trusted proxy what that one tells, which may be no address."""
    client = scope.get("client")
    return None if client is None else client[0][:_LONGEST_ADDRESS]


class RequestContext:
    """Names the request, logs it when it ends, and answers for exceptions nobody else has answered for."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, headers: AnswerHeaders, traces: Traces) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = headers
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._metrics, self._headers, self._traces)
        exchange.enter()
        scope[EXCHANGE] = exchange
        try:
            await self._app(scope, receive, exchange.send)
            if exchange.detached is not None:
                await exchange.detached(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.answer(CLIENT_CLOSED)
        except Exception as error:  # noqa: BLE001 - it is answered and logged
            await exchange.fail(error, scope, receive)
        finally:
            exchange.log()
            exchange.end()


class Detached:
    """An answer that takes long: it runs when its handler and all that is around that have returned."""

    __slots__ = ("_answer",)

    def __init__(self, answer: ASGIApp) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[EXCHANGE].detached = self._answer


class _Exchange:
    """One request and how far its answer is."""

    __slots__ = ("_began", "_headers", "_metrics", "_scope", "_send", "_span", "detached", "id", "status", "trace_id")

    def __init__(self, scope: Scope, send: Send, metrics: Metrics, headers: AnswerHeaders, traces: Traces) -> None:
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._headers = headers
        self._began = time.monotonic()
        self.status = 0
        self.detached: ASGIApp | None = None
        sent = Headers(scope=scope)
        given = sent.get(REQUEST_ID_HEADER, "")
        self.id = given if _ACCEPTABLE_ID.fullmatch(given) else uuid4().hex
        self._span = RequestSpan(scope, sent, traces)
        self.trace_id = self._span.trace_id or self.id

    def enter(self) -> None:
        """Let everything in this context know the request, also what the server logs of it afterwards.

        Each request has a context of its own, or begins with this.
        """
        request_id.set(self.id)
        trace_id.set(self.trace_id)
        current.set(self._span.span)
        begin_log_context(**self._names)

    async def send(self, message: Message) -> None:
        if message["type"] in _BEGINNINGS:
            self.answer(message.get("status", SWITCHING_PROTOCOLS))
            self._headers.add(MutableHeaders(scope=message), self.id, self._scope)
        await self._send(message)

    def answer(self, status: int) -> None:
        """Count the answer when it begins: a stream's would otherwise not be seen before its end."""
        if not self.status:
            self._metrics.answer(self._scope, status, time.monotonic() - self._began)
        self.status = status
        if self.detached is not None or self._scope["type"] == "websocket":
            # It may stay open for hours, and who looks for it in a trace looks now.
            self.end()

    def end(self) -> None:
        self._span.end(self.status, self.id)

    async def fail(self, error: Exception, scope: Scope, receive: Receive) -> None:
        answer = as_api_error(error)
        if answer is None:
            logger.error("request_failed", exc_info=error, extra=self._names | {"path": scope["path"]})
            answer = InternalError()
        elif answer is not error:
            logger.warning("database_unavailable", extra=self._names | {"reason": str(error)})
        if self.status:
            # The answer has begun; breaking the connection is the only way left to say that it is not whole.
            raise error
        await problem(answer, self.id, self.trace_id)(scope, receive, self.send)

    @property
    def _names(self) -> dict[str, str]:
        return {"request_id": self.id, "trace_id": self.trace_id}

    def log(self) -> None:
        fields: dict[str, Any] = {
            **self._names,
            "method": self._scope.get("method", "WEBSOCKET"),
            "path": self._scope["path"],
            "client": client_of(self._scope),
            "status": self.status,
            "milliseconds": round((time.monotonic() - self._began) * 1000, 1),
        }
        organization_id = self._scope.get("state", {}).get("organization_id")
        access_log.info("request", extra=fields | {"organization_id": organization_id and str(organization_id)})


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyLimits:
    """How large a body may be, and how long it may take to arrive."""

    bytes: int
    seconds: float
    whose: str = "this server's"


class BodyLimit:
    """Refuses bodies over the limits, before they are read where their length is declared.

    `others` are the limits of paths that have their own.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits, others: Mapping[re.Pattern[str], BodyLimits]) -> None:
        self._app = app
        self._limits = limits
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits = next((own for path, own in self._others.items() if path.fullmatch(scope["path"])), self._limits)
        body = _Body(receive, limits, Headers(scope=scope).get("content-length", ""))
        if limits is self._limits:
            scope[_BODY] = body
        await self._app(scope, body.receive, send)


def lower_body_limit(scope: Scope, most: int) -> None:
    """Take no more than `most` bytes from this caller, on paths that have no limit of their own.

    Raises:
        BodyTooLarge: the request declares more.
    """
    body: _Body | None = scope.get(_BODY)
    if body is not None:
        body.lower(most)


class _Body:
    """A body while it is received."""

    __slots__ = ("_declared", "_ends_at", "_is_complete", "_limits", "_receive", "_received")

    def __init__(self, receive: Receive, limits: BodyLimits, declared: str) -> None:
        self._receive = receive
        self._declared = int(declared) if declared.isdecimal() else 0
        self._limits = limits
        self._check(self._declared)
        self._received = 0
        self._is_complete = False
        self._ends_at = asyncio.get_running_loop().time() + limits.seconds

    async def receive(self) -> Message:
        if self._is_complete:
            # What comes now is that the client left, and may take its time.
            return await self._receive()
        limit = asyncio.timeout_at(self._ends_at)
        try:
            async with limit:
                message = await self._receive()
        except TimeoutError:
            if not limit.expired():
                raise
            raise _too_slow(self._limits) from None
        self._is_complete = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        self._check(self._received)
        return message

    def lower(self, most: int) -> None:
        if most < self._limits.bytes:
            self._limits = replace(self._limits, bytes=most, whose="your organization's")
            self._check(self._declared)

    def _check(self, size: int) -> None:
        if size > self._limits.bytes:
            raise _too_large(self._limits)


def _too_large(limits: BodyLimits) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limits.bytes} bytes, which is {limits.whose} limit.")


def _too_slow(limits: BodyLimits) -> UploadTooSlow:
    return UploadTooSlow(f"The body did not arrive within {limits.seconds:g} seconds; send less at once.")
