"""An application under test that costs next to nothing: every POST gets the same answer, at once or a time later."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from tests.bench.request_reader import RequestReader

BODY = b'{"output": "ok"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Endpoint(RequestReader):
    """One connection.

    `GET` answers when the first POST since the last `GET` came, and when the last one was answered, by the clock all
    processes share.
    """

    latency = 0.0
    first: float | None = None
    last = 0.0

    def take(self, head: bytes) -> None:
        cls = type(self)
        if not head.startswith(b"post"):
            self._transport.write(cls._times())
            return
        if cls.first is None:
            cls.first = time.monotonic()
        if cls.latency:
            asyncio.get_running_loop().call_later(cls.latency, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        type(self).last = time.monotonic()
        self._transport.write(ANSWER)

    @classmethod
    def _times(cls) -> bytes:
        body = json.dumps({"first": cls.first, "last": cls.last}).encode()
        cls.first = None
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", port, backlog=1024)
    print("fast endpoint ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    Endpoint.latency = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
    uvloop.run(serve(int(sys.argv[1])))
