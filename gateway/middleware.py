"""What surrounds every request: an id, a line in the access log, a limit to its body, an answer if all else fails.

A stream is answered from out here, when everything between here and its handler has returned: a hundred thousand frames
of routing would otherwise wait with ten thousand streams.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BodyTooLarge, InternalError, as_api_error, problem
from gateway.metrics import Metrics

REQUEST_ID_HEADER = "x-request-id"
CLIENT_CLOSED = 499
#: Where a request's scope keeps what is known of the exchange.
EXCHANGE = "gateway.exchange"

SWITCHING_PROTOCOLS = 101
_BEGINNINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

access_log = logging.getLogger("gateway.access")
logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="-")


class RequestContext:
    """Names the request, logs it when it ends, and answers for exceptions nobody else has answered for."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._metrics)
        token = request_id.set(exchange.id)
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
            request_id.reset(token)


class Detached:
    """An answer that takes long: it runs when its handler and all that is around that have returned."""

    __slots__ = ("_answer",)

    def __init__(self, answer: ASGIApp) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[EXCHANGE].detached = self._answer


class _Exchange:
    """One request and how far its answer is."""

    __slots__ = ("_began", "_metrics", "_scope", "_send", "detached", "id", "status")

    def __init__(self, scope: Scope, send: Send, metrics: Metrics) -> None:
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._began = time.monotonic()
        self.status = 0
        self.detached: ASGIApp | None = None
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        self.id = given if _ACCEPTABLE_ID.fullmatch(given) else uuid4().hex

    async def send(self, message: Message) -> None:
        if message["type"] in _BEGINNINGS:
            self.answer(message.get("status", SWITCHING_PROTOCOLS))
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self.id
            # The URL of a stream may hold a token, which a browser would hand on.
            headers["referrer-policy"] = "no-referrer"
        await self._send(message)

    def answer(self, status: int) -> None:
        """Count the answer when it begins: a stream's would otherwise not be seen before its end."""
        if not self.status:
            self._metrics.answer(self._scope, status, time.monotonic() - self._began)
        self.status = status

    async def fail(self, error: Exception, scope: Scope, receive: Receive) -> None:
        answer = as_api_error(error)
        if answer is None:
            logger.error("request_failed", exc_info=error, extra={"request_id": self.id, "path": scope["path"]})
            answer = InternalError()
        elif answer is not error:
            logger.warning("database_unavailable", extra={"request_id": self.id, "reason": str(error)})
        if self.status:
            # The answer has begun; breaking the connection is the only way left to say that it is not whole.
            raise error
        await problem(answer, self.id)(scope, receive, self.send)

    def log(self) -> None:
        fields: dict[str, Any] = {
            "request_id": self.id,
            "method": self._scope.get("method", "WEBSOCKET"),
            "path": self._scope["path"],
            "status": self.status,
            "milliseconds": round((time.monotonic() - self._began) * 1000, 1),
        }
        organization_id = self._scope.get("state", {}).get("organization_id")
        access_log.info("request", extra=fields | {"organization_id": organization_id and str(organization_id)})


class BodyLimit:
    """Refuses bodies over the limit, before they are read where their length is declared.

    `others` are the limits of paths that have their own.
    """

    def __init__(self, app: ASGIApp, limit: int, others: Mapping[re.Pattern[str], int]) -> None:
        self._app = app
        self._limit = limit
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next((most for path, most in self._others.items() if path.fullmatch(scope["path"])), self._limit)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        await self._app(scope, limited, send)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit} bytes, which is this server's limit.")
