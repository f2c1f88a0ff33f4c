"""Receivers of webhooks that cost next to nothing: those below /hang never answer, all others get 204 at once.

One server listens on every address of this machine's own network, 127.0.0.0/8, so that each endpoint can be a host.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import ClassVar

import uvloop

from tests.bench.request_reader import RequestReader

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver(RequestReader):
    """One connection.

    `GET` answers when webhooks were answered since the last `GET`, by the clock all processes share, and how many hang.
    """

    times: ClassVar[list[float]] = []
    hanging = 0
    _hangs = False

    def connection_lost(self, error: Exception | None) -> None:
        type(self).hanging -= self._hangs

    def take(self, head: bytes) -> None:
        cls = type(self)
        if head.startswith(b"get"):
            body = json.dumps({"times": cls.times, "hanging": cls.hanging}).encode()
            cls.times = []
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        elif head.startswith(b"post /hang"):
            self._hangs = True
            cls.hanging += 1
        else:
            cls.times.append(time.monotonic())
            self._transport.write(ANSWER)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "0.0.0.0", port, backlog=4096)
    print("receivers ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
