"""A witness of visits where nobody must be reached."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Witness:
    """Listens on every address of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.visits = 0

    def visit(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


@asynccontextmanager
async def witnessing() -> AsyncIterator[Witness]:
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    seen = Witness(listener.getsockname()[1])
    async with await asyncio.start_server(seen.visit, sock=listener):
        yield seen
