"""Holds what any httpx client of the suite sends to a gateway, and is answered, against `openapi.yaml`.

A plugin of pytest: httpx's own clients are made to check, so no test can leave it out. A test fails at the exchange
that breaks the contract, and at its end if that was swallowed or in another thread. `UNCHECKED` lists what asks a
gateway in another way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.contract import EVENT_STREAM, ContractBroken, contract, read_events

#: Files of the suite that open connections otherwise than with httpx, and why their exchanges need no check here.
UNCHECKED = {
    "tests/bench/ours.py": "a measurement, whose requests are those of tests",
    "tests/bench/bare_loop.py": "asks no gateway",
    "tests/bench/requests/load.py": "a measurement, whose requests are those of tests",
    "tests/bench/streams/nchan.py": "asks no gateway",
    "tests/bench/streams/subjects.py": "a measurement, whose requests are those of tests",
    "tests/rolling/caller.py": "as many requests as there can be, whose answers other tests check",
    "tests/rolling/load.py": "the same",
    "tests/rolling/streams.py": "compares each event with the database",
    "tests/soak/clients.py": "reads streams frame by frame and compares each event with the database",
    "tests/soak/asked.py": "the same",
    "tests/soak/watcher.py": "the same",
    "tests/soak/session.py": "the same",
    "tests/integration/test_api_imports.py": "bodies that break off, which are no whole requests",
    "tests/integration/test_api_stream_tokens.py": "a request that no client would send",
    "tests/integration/test_connections.py": "bytes on a socket, whose problems it checks itself",
    "tests/integration/test_leaving.py": "the same",
    "tests/integration/test_jwt.py": "a WebSocket",
    "tests/integration/test_outbound.py": "asks no gateway",
    "tests/integration/test_sse.py": "the bytes of a stream on the wire, without a gateway around it",
    "tests/integration/test_tail.py": "asks no gateway",
    "tests/integration/test_websocket.py": "WebSockets, whose messages are no part of OpenAPI",
    "tests/stack/brokers.py": "asks no gateway",
    "tests/stack/buffering.py": "hands on the bytes of others",
    "tests/stack/broker_servers.py": "asks no gateway",
    "tests/acceptance/test_cli_listen.py": "asks no gateway",
    "tests/acceptance/test_cli_operator.py": "the handshake of TLS",
    "tests/acceptance/test_proxy.py": "a WebSocket",
    "tests/acceptance/test_stream_isolation.py": "a thousand streams at once, whose events it compares",
}
#: What every answer of a gateway has, and no answer of an application under test.
_MARK = "x-request-id"

_broken: list[str] = []
#: Gateways of another version, which keep to their own contract.
_others: set[bytes] = set()


def pytest_configure() -> None:
    httpx.Client.send = _checking(httpx.Client.send)  # type: ignore[method-assign]
    httpx.AsyncClient.send = _checking_async(httpx.AsyncClient.send)  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def exchanges_keep_the_contract() -> Iterator[None]:
    """A test whose exchanges were not all in contract fails, whatever became of the error."""
    _broken.clear()
    yield
    broken, _broken[:] = list(_broken), []
    assert not broken


@contextmanager
def another_contract(url: str) -> Iterator[None]:
    """What the gateway at this address answers is not held against the contract of this version."""
    address = httpx.URL(url).netloc
    _others.add(address)
    yield
    _others.remove(address)


def _checking(send: Callable[..., httpx.Response]) -> Any:
    def checked(client: httpx.Client, request: httpx.Request, *, stream: bool = False, **options: Any) -> Any:
        response = send(client, request, stream=stream, **options)
        _examine(response, stream=stream)
        return response

    return checked


def _checking_async(send: Callable[..., Any]) -> Any:
    async def checked(
        client: httpx.AsyncClient, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> Any:
        response = await send(client, request, stream=stream, **options)
        _examine(response, stream=stream)
        return response

    return checked


def _examine(response: httpx.Response, *, stream: bool) -> None:
    """What a gateway answers, at once or as it is read."""
    if _MARK not in response.headers or response.request.url.netloc in _others:
        return
    if stream:
        response.stream = _Watched(response)
    else:
        _check(contract().check, response)


class _Watched(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of an answer that is read piece by piece: events are checked as they come, all else at the end."""

    def __init__(self, response: httpx.Response) -> None:
        self._body: Any = response.stream
        self._response = response
        self._is_stream = response.headers.get("content-type", "").startswith(EVENT_STREAM)
        self._where = f"{response.request.method} {response.request.url.path}"
        self._seen = b""
        _check(contract().check_beginning, response)

    def __iter__(self) -> Iterator[bytes]:
        for part in self._body:
            self._look(part)
            yield part
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            self._look(part)
            yield part
        self._end()

    def close(self) -> None:
        self._body.close()

    async def aclose(self) -> None:
        await self._body.aclose()

    def _look(self, part: bytes) -> None:
        self._seen += part
        if self._is_stream:
            whole, mark, self._seen = self._seen.rpartition(b"\n\n")
            for name, data in read_events((whole + mark).decode().splitlines()):
                _check(contract().check_event, self._where, name, data)

    def _end(self) -> None:
        if not self._is_stream:
            seen = self._response
            whole = httpx.Response(seen.status_code, headers=seen.headers, content=self._seen, request=seen.request)
            _check(contract().check, whole)


def _check(check: Callable[..., None], *what: Any) -> None:
    try:
        check(*what)
    except ContractBroken as broken:
        _broken.append(str(broken))
        raise
