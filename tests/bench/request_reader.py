"""Reads requests out of one connection, with as little work as can be: it must not be what is measured."""

from __future__ import annotations

import asyncio
from typing import cast


class RequestReader(asyncio.Protocol):
    """Calls `take` with each request's head, in lower case, when its body has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self._received) < end + 4 + length:
                return
            self._received = self._received[end + 4 + length :]
            self.take(head)

    def take(self, head: bytes) -> None:
        raise NotImplementedError
