"""The server of `gateway listen`: takes any POST as a delivery, hands on what it is, and answers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.cli.received import Received, read
from gateway.stream.server import server_config
from gateway.stream.settings import StreamSettings
from gateway.transport.limits import ConnectionLimits

#: Deliveries have less than 20 kB.
MOST_BYTES = 256 * 1024
BODY_SECONDS = 10
#: What is under way when the command is to end gets so long.
_STOP_SECONDS = 1


def receiver(secret: str | None, status: int, tell: Callable[[Received, int], None]) -> ASGIApp:
    """An application that answers with `status` what is a delivery, and 400 what is none or not genuine."""

    async def receive(request: Request) -> Response:
        try:
            body = await _read(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody gets it
        received = read(request.headers, body, secret)
        answer = status if received.fault is None else 400
        tell(received, answer)
        return Response(status_code=answer) if received.fault is None else _sentence(answer, received.fault)

    routes = [Route("/{path:path}", receive, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    is_other_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    sentence = "deliveries are sent with POST" if is_other_method else error.detail
    return _sentence(error.status_code, sentence, error.headers)


def _sentence(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}.\n", status, headers)


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"the body is larger than {MOST_BYTES} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None
    return bytes(body)


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Serve within the block."""
    config = server_config(app, StreamSettings(), ConnectionLimits())
    config.timeout_graceful_shutdown = _STOP_SECONDS
    server = _Server(config)
    serve = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        # Who is cut off now is no error to tell of.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True
        await serve


class _Server(uvicorn.Server):
    """Leaves the signals to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
