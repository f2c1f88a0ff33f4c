"""Connections of clients that are slow, or send too much: bounded, answered with problems, and no stream is touched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import httpx
import pytest

from gateway.transport.limits import ConnectionLimits
from tests.contract import contract
from tests.postgres import TestDatabase
from tests.rest import PATIENCE, Gateway, Tenant, gateway

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
SHORT = ConnectionLimits(head_seconds=0.3, keep_alive_seconds=1)
SMALL = ConnectionLimits(max_url_bytes=100, max_header_bytes=1000, max_headers=10)


class Line:
    """A client's end of a connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next one: its status, its headers, and its body, which is JSON."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def rest(self) -> bytes:
        """What comes until the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def drip(self, data: bytes) -> None:
        """Send it again and again, slowly, until the server has ended the connection."""
        ended = asyncio.ensure_future(self.rest())
        while not ended.done():
            self.send(data)
            await asyncio.wait({ended}, timeout=0.05)
        with suppress(ConnectionResetError):  # when it was ended while more was on its way
            await ended


Opener: TypeAlias = Callable[[], Awaitable[Line]]


@asynccontextmanager
async def lines(served: Gateway) -> AsyncGenerator[Opener]:
    """Opens connections, and closes them at the end."""
    url, opened = httpx.URL(served.url), list[Line]()

    async def open_line() -> Line:
        opened.append(Line(*await asyncio.open_connection(url.host, url.port)))
        return opened[-1]

    try:
        yield open_line
    finally:
        for line in opened:
            line.writer.close()


@asynccontextmanager
async def connected(database: TestDatabase, limits: ConnectionLimits, **values: Any) -> AsyncGenerator[Line]:
    async with gateway(database.url, connection=limits, **values) as served, lines(served) as open_line:
        yield await open_line()


def check_problem(answer: tuple[int, dict[str, str], Any], status: int, code: str) -> None:
    assert (answer[0], answer[2]["code"], answer[2]["status"]) == (status, code, status)
    headers = answer[1]
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == answer[2]["request_id"]
    assert (headers["connection"], headers["x-content-type-options"]) == ("close", "nosniff")
    assert contract().errors({"$ref": "#/components/schemas/Problem"}, answer[2]) == []


async def test_a_head_that_never_ends_is_answered_and_the_connection_closed(database: TestDatabase) -> None:
    async with connected(database, SHORT) as line:
        line.send(GET + b"X-Slow: ")
        check_problem(await line.answer(), 408, "request_too_slow")
        assert await line.rest() == b""


@pytest.mark.parametrize("data", [b"", b"\r\n"])
async def test_a_connection_that_never_begins_a_request_is_closed(database: TestDatabase, data: bytes) -> None:
    async with connected(database, SHORT) as line:
        line.send(data)
        assert await line.rest() == b""


@pytest.mark.parametrize("parts", [1, 2, 400], ids=lambda parts: f"in {parts} parts")
async def test_a_client_that_asks_for_http_2_on_the_way_is_answered_as_any_other(
    database: TestDatabase, tenant: Tenant, parts: int
) -> None:
    body = json.dumps({"name": "one", "tests": [{"input": "what?"}]}).encode()
    head = b"POST /v1/test-sets HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    head += b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAABgAGAAA\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {tenant.secret}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with connected(database, ConnectionLimits()) as line:
        for sent in (head + body, head + body):
            size = -(-len(sent) // parts)
            for start in range(0, len(sent), size):
                line.send(sent[start : start + size])
                await asyncio.sleep(0)
        for _ in range(2):
            status, _, answer = await line.answer()
            assert (status, answer["test_count"]) == (201, 1)
        line.send(GET + b"\r\n")
        assert (await line.answer())[0] == 200


async def test_a_head_that_drips_has_no_more_time_than_another(database: TestDatabase) -> None:
    async with connected(database, SHORT) as line:
        line.send(GET)
        await line.drip(b"X-A: b\r\n")


async def test_empty_lines_after_an_answer_do_not_keep_a_connection(database: TestDatabase) -> None:
    async with connected(database, SHORT) as line:
        line.send(GET + b"\r\n")
        assert (await line.answer())[0] == 200
        await line.drip(b"\r\n")


async def test_a_body_that_does_not_arrive_in_time_is_refused(database: TestDatabase, tenant: Tenant) -> None:
    async with connected(database, ConnectionLimits(), body_receive_seconds=0.2) as line:
        line.send(post(tenant, length=100) + b'{"name":')
        check_problem(await line.answer(), 408, "upload_too_slow")


async def test_a_body_that_nobody_waits_for_does_not_keep_a_connection(database: TestDatabase) -> None:
    async with connected(database, SHORT) as line:
        line.send(post(None, length=1_000_000) + b"{")
        assert (await line.answer())[0] == 401
        await line.drip(b" ")


async def test_a_connection_goes_on_when_the_body_comes_after_the_answer(database: TestDatabase) -> None:
    async with connected(database, SHORT) as line:
        line.send(post(None, length=4))
        assert (await line.answer())[0] == 401
        line.send(b"null" + GET + b"\r\n")
        assert (await line.answer())[0] == 200
        line.send(post(None, length=4))
        assert (await line.answer())[0] == 401
        line.send(b"null")
        assert await line.rest() == b"", "and it is not kept for ever"


async def test_a_body_may_take_longer_than_a_head(database: TestDatabase, tenant: Tenant) -> None:
    body = b'{"name": "echo"}'
    async with gateway(database.url, connection=SHORT) as served, lines(served) as open_line:
        line, idle = await open_line(), await open_line()
        line.send(post(tenant, length=len(body)) + body[:5])
        await idle.rest()  # as long as a head may take
        line.send(body[5:])
        assert (await line.answer())[0] == 202


async def test_requests_that_come_at_once_are_answered_in_turn(database: TestDatabase) -> None:
    async with connected(database, SMALL) as line:
        line.send((GET + b"\r\n") * 200 + GET)
        assert {(await line.answer())[0] for _ in range(200)} == {200}
        line.send(b"\r\n")
        assert (await line.answer())[0] == 200


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "url_too_long"),
        (b"GET /" + b"a" * 5000, 414, "url_too_long"),
        (GET + b"".join(b"X-%d: a\r\n" % number for number in range(20)) + b"\r\n", 431, "headers_too_large"),
        (GET + b"X-Large: " + b"a" * 2000 + b"\r\n\r\n", 431, "headers_too_large"),
        (GET + b"X-" + b"a" * 2000 + b": a\r\n\r\n", 431, "headers_too_large"),
        (GET + b"X-Flood: " + b"a" * 500_000, 431, "headers_too_large"),
        (b"HELO mail.example.com\r\n\r\n", 400, "bad_request"),
        (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_request"),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n X-Folded: a\r\nBad Name: b\r\n\r\n", 400, "bad_request"),
    ],
)
async def test_a_head_that_is_too_large_or_ambiguous_is_answered_with_a_problem(
    database: TestDatabase, head: bytes, status: int, code: str
) -> None:
    async with connected(database, SMALL) as line:
        line.send(head)
        check_problem(await line.answer(), status, code)
        assert await line.rest() == b""


async def test_one_header_that_never_ends_is_not_kept_in_memory(database: TestDatabase) -> None:
    async with connected(database, SMALL) as line:
        line.send(GET + b"X-Endless: ")
        answered = asyncio.ensure_future(line.answer())
        async with asyncio.timeout(PATIENCE):
            while not answered.done():
                line.send(b"a" * 500)
                await asyncio.wait({answered}, timeout=0.01)
        check_problem(await answered, 431, "headers_too_large")


async def test_connections_over_the_limit_are_refused_until_one_ends(database: TestDatabase) -> None:
    limits = ConnectionLimits(max_connections=2)
    async with gateway(database.url, connection=limits) as served, lines(served) as open_line:
        first, second = await open_line(), await open_line()
        for line in (first, second):
            line.send(GET + b"\r\n")
            assert (await line.answer())[0] == 200
        third = await open_line()
        answer = await third.answer()
        check_problem(answer, 503, "connections_full")
        assert answer[1]["retry-after"] == "1"
        assert await third.rest() == b""
        first.send(GET + b"Connection: close\r\n\r\n")
        await first.rest()
        fourth = await open_line()
        fourth.send(GET + b"\r\n")
        assert (await fourth.answer())[0] == 200


async def test_a_stream_outlives_every_limit_of_its_connection(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, connection=SHORT) as served, lines(served) as open_line:
        stream, idle = await open_line(), await open_line()
        stream.send(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{bearer(tenant)}\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            await stream.reader.readuntil(b"snapshot")
        stream.send(b"\r\n")  # which some clients send after a request, and nobody reads
        for _ in range(3):
            await idle.rest()  # each as long as a head may take
            idle = await open_line()
        async with served.client(tenant) as api:
            await api.post("/v1/tasks", json={"name": "echo"})
        async with asyncio.timeout(PATIENCE):
            assert await stream.reader.readuntil(b"task.pending")


def bearer(tenant: Tenant) -> str:
    return f"Authorization: Bearer {tenant.secret}\r\n"


def post(tenant: Tenant | None, *, length: int) -> bytes:
    """The head of a request that brings a body."""
    key = bearer(tenant) if tenant else ""
    head = (
        f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\n{key}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode()
