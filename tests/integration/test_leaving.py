"""A gateway that stops: newcomers are refused, and no request is lost on a connection that was there before."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from gateway.stream.server import listen
from gateway.transport.newcomers import keep_out
from tests import rest
from tests.integration.test_connections import Line, Opener, lines
from tests.postgres import TestDatabase
from tests.rest import PATIENCE, Tenant, gateway

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def stopping(
    database: TestDatabase,
) -> AsyncGenerator[tuple[Opener, Callable[[], Awaitable[asyncio.Task[None]]]]]:
    """Opens connections, and begins to stop the gateway: the task ends with it."""
    running = AsyncExitStack()
    served = await running.enter_async_context(gateway(database.url))
    url = httpx.URL(served.url)
    ends: list[asyncio.Task[None]] = []

    async def stop() -> asyncio.Task[None]:
        ends.append(asyncio.create_task(running.aclose()))
        async with asyncio.timeout(PATIENCE):
            while await is_listening(url.host, url.port or 0):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.01)
        return ends[-1]

    async with lines(served) as open_line:
        yield open_line, stop
    await asyncio.gather(*ends)


async def is_listening(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def answered(line: Line, request: bytes) -> tuple[int, str | None]:
    """The status, and what is said of the connection."""
    line.send(request)
    status, headers, _ = await line.answer()
    return status, headers.get("connection")


async def test_a_request_on_a_kept_connection_is_answered_and_told_that_it_was_the_last(database: TestDatabase) -> None:
    async with stopping(database) as (open_line, stop):
        line = await open_line()
        assert await answered(line, HEALTH) == (200, None)
        await stop()
        assert await answered(line, HEALTH) == (200, "close")
        assert await line.rest() == b""


async def test_a_request_that_has_begun_is_read_and_answered(database: TestDatabase, tenant: Tenant) -> None:
    headers = b"Host: x\r\nAuthorization: Bearer %b\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    head = b"POST /v1/stream-tickets HTTP/1.1\r\n" + headers % tenant.secret.encode()
    async with stopping(database) as (open_line, stop):
        in_head, in_body = await open_line(), await open_line()
        for line, begun in ((in_head, head), (in_body, head + b"\r\n{")):
            assert await answered(line, HEALTH) == (200, None)
            line.send(begun)
        await stop()
        assert await answered(in_head, b"\r\n{}") == (201, "close")
        assert await answered(in_body, b"}") == (201, "close")


async def test_it_ends_when_its_last_connection_does(database: TestDatabase) -> None:
    async with stopping(database) as (open_line, stop):
        line = await open_line()
        await answered(line, HEALTH)
        end = await stop()
        assert await answered(line, HEALTH) == (200, "close")
        ended, _ = await asyncio.wait({end}, timeout=PATIENCE)
        assert ended, "nobody is connected any more, so nobody is waited for"


async def test_a_socket_that_a_killed_gateway_has_left_closed_to_newcomers_is_opened(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen_to_nobody(host: str, port: int) -> socket.socket:
        listener = listen(host, port)
        keep_out(listener)
        return listener

    monkeypatch.setattr(rest, "listen", listen_to_nobody)
    async with gateway(database.url) as served, served.client() as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_a_gateway_that_stops_is_not_ready(database: TestDatabase) -> None:
    async with stopping(database) as (open_line, stop):
        line = await open_line()
        assert (await answered(line, HEALTH))[0] == 200
        await stop()
        assert await answered(line, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n") == (503, "close")
