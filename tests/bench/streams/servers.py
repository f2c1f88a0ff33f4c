"""`python -m tests.bench.streams.servers KIND PORT`: a uvicorn process that makes events itself and fans them out.

`POST /publish` takes a JSON list of moments, in seconds from now, and answers when it has published at each of them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.stream.server import listen
from tests.bench.streams import payload

Event = tuple[int, bytes]
HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


class Client:
    """The events that one client has still to get."""

    def __init__(self) -> None:
        self.left = False
        self._queue: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        self._queue.append(event)
        self._wake()

    def leave(self) -> None:
        self.left = True
        self._wake()

    async def take(self) -> list[Event]:
        """What is queued, once there is something; nothing when the client has left."""
        if not self._queue and not self.left:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Fanout:
    """All clients, and the publisher."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._seq = 0

    @contextmanager
    def client(self) -> Iterator[Client]:
        client = Client()
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.remove(client)

    async def publish(self, moments: list[float]) -> None:
        """An event that is late because the process was busy counts from the moment it was due."""
        begin = time.time()
        for moment in moments:
            if (pause := begin + moment - time.time()) > 0:
                await asyncio.sleep(pause)
            self._seq += 1
            event = (self._seq, payload.event(self._seq, published=begin + moment))
            for client in self._clients:
                client.put(event)


def encode(event: Event) -> bytes:
    return b"id: %d\ndata: %b\n\n" % event


def bare(fanout: Fanout) -> ASGIApp:
    """ASGI and nothing else."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        with fanout.client() as client:
            watcher = asyncio.create_task(leave_on_disconnect(receive, client))
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            while not client.left:
                body = b"".join(map(encode, await client.take()))
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await watcher

    return respond


async def leave_on_disconnect(receive: Receive, client: Client) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    client.leave()


def starlette(fanout: Fanout) -> ASGIApp:
    """What Starlette's documentation shows."""

    async def frames() -> AsyncIterator[bytes]:
        with fanout.client() as client:
            while True:
                yield b"".join(map(encode, await client.take()))

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(frames(), media_type="text/event-stream")(scope, receive, send)

    return respond


def sse_starlette(fanout: Fanout) -> ASGIApp:
    """What sse-starlette's documentation shows."""

    async def events() -> AsyncIterator[dict[str, str]]:
        with fanout.client() as client:
            while True:
                for seq, data in await client.take():
                    yield {"id": str(seq), "data": data.decode()}

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await EventSourceResponse(events())(scope, receive, send)

    return respond


KINDS: dict[str, Callable[[Fanout], ASGIApp]] = {"bare": bare, "starlette": starlette, "sse-starlette": sse_starlette}


def make_app(kind: str) -> ASGIApp:
    fanout = Fanout()
    stream = KINDS[kind](fanout)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/publish":
            await stream(scope, receive, send)
            return
        await fanout.publish(await Request(scope, receive).json())
        await Response(status_code=204)(scope, receive, send)

    return app


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    config = uvicorn.Config(
        make_app(kind), lifespan="off", loop="uvloop", http="httptools", log_config=None, access_log=False
    )
    listener = listen("127.0.0.1", port)
    print("ready", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
