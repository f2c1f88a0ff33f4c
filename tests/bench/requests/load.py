"""Sends the same request over some kept connections, each the next one when the last is answered, and times them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_END_OF_HEAD = b"\r\n\r\n"


class LoadFailed(Exception):
    """A server answered something else than what is measured."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request, and the status it is answered with."""

    method: str
    path: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self, host: str) -> bytes:
        fields = [("Host", host), ("Accept", "application/json"), *self.headers]
        if self.method != "GET":
            fields += [("Content-Type", "application/json"), ("Content-Length", str(len(self.body)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


@dataclass(frozen=True, kw_only=True)
class Window:
    """What one server did in one window of time."""

    per_second: float
    milliseconds: tuple[float, ...]

    @property
    def p99(self) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]


class _Connection(asyncio.Protocol):
    """One request after the other; HTTP/1.1 with a Content-Length, which is all that these servers answer."""

    def __init__(
        self, request: bytes, status: int, done: Callable[[float], bool], failed: Callable[[str], None]
    ) -> None:
        self._request, self._expected, self._done, self._failed = request, b"%d" % status, done, failed
        self._received = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None  # of uvloop, which is none of asyncio's classes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(_END_OF_HEAD)
        if not found:
            return
        length = _LENGTH.search(head)
        if head[9:12] != self._expected or length is None:
            self._failed(self._received[:600].decode(errors="replace"))
            return
        if len(body) < int(length[1]):
            return
        self._received = b""
        if self._done(time.perf_counter() - self._sent):
            self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def load(port: int, ask: Ask, *, connections: int, seconds: float) -> Window:
    """Keep the connections busy for so long.

    Raises:
        LoadFailed: an answer had another status; the message shows it.
    """
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    found: list[float] = []
    began = time.perf_counter()

    def done(elapsed: float) -> bool:
        found.append(elapsed * 1000)
        return not over.done()

    def failed(answer: str) -> None:
        if not over.done():
            over.set_exception(LoadFailed(f"{ask.method} {ask.path} was answered\n{answer}"))

    request = ask.raw(f"127.0.0.1:{port}")
    opened = [
        await loop.create_connection(lambda: _Connection(request, ask.status, done, failed), "127.0.0.1", port)
        for _ in range(connections)
    ]
    loop.call_later(seconds, lambda: over.done() or over.set_result(None))
    try:
        await over
        return Window(per_second=len(found) / (time.perf_counter() - began), milliseconds=tuple(found))
    finally:
        for transport, _ in opened:
            transport.abort()
