"""Server-sent events: a feed written as an ASGI response that notices a client which left or does not read."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from contextlib import aclosing

from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import ServerSentEvent
from starlette.types import Receive, Scope, Send

from gateway.stream.feed import Batch, Feed, Item, Message, Notice, NoticeKind
from gateway.stream.hub import Subscription
from gateway.stream.settings import StreamSettings

logger = logging.getLogger(__name__)

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class _ClientStalled(Exception):
    """The client did not take what was sent within the time allowed."""


class EventStream:
    """An ASGI response. The headers and the first bytes leave at once, whatever there is to tell."""

    def __init__(self, feed: Feed, settings: StreamSettings | None = None) -> None:
        self._feed = feed
        self._settings = settings or StreamSettings()
        self._cursor = feed.cursor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] != "HEAD":
            await self._respond(receive, send)
        # After a stall this waits until the client reads on or the socket's own time is up: there is no way to drop
        # the connection from here, and the subscription is closed already.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _respond(self, receive: Receive, send: Send) -> None:
        with self._feed.subscribe() as subscription:
            watcher = asyncio.create_task(_close_on_disconnect(receive, subscription))
            try:
                await self._stream(subscription, send)
            except _ClientStalled:
                logger.info("stream_stalled", extra={"seconds": self._settings.send_timeout})
            except (SQLAlchemyError, OSError) as error:
                # The client comes back with its cursor, and while the database is away it gets an answer, not a stream.
                logger.warning("stream_interrupted", extra={"error": type(error).__name__, "reason": str(error)})
            finally:
                watcher.cancel()

    async def _stream(self, subscription: Subscription, send: Send) -> None:
        now = asyncio.get_running_loop().time
        ends_at = now() + self._settings.max_age * random.uniform(0.9, 1)  # noqa: S311 - only spreads the load
        await self._send(send, ServerSentEvent(retry=self._pause(), sep="\n").encode())
        async with aclosing(self._feed.follow(subscription)) as batches:
            async for batch in batches:
                await self._send(send, self._frames(batch) if batch else self._keep_alive())
                if now() >= ends_at:
                    return

    async def _send(self, send: Send, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise _ClientStalled from None

    def _frames(self, batch: Batch) -> bytes:
        return b"".join(map(self._frame, batch))

    def _frame(self, item: Item) -> bytes:
        if isinstance(item, Message):
            self._cursor = item.cursor
            return b"id: %b\ndata: %b\n\n" % (item.cursor.encode(), item.body)
        return self._notice(item)

    def _notice(self, notice: Notice) -> bytes:
        data = json.dumps({"cursor": notice.cursor}, separators=(",", ":"))
        retry = self._pause() if notice.kind is NoticeKind.DRAINING else None
        return ServerSentEvent(data, event=notice.kind.value, retry=retry, sep="\n").encode()

    def _keep_alive(self) -> bytes:
        # An id without data moves the client's cursor and dispatches nothing.
        return b": keep-alive\n\n" if self._cursor is None else b"id: %b\n\n" % self._cursor.encode()

    def _pause(self) -> int:
        """Milliseconds until the client comes back, spread so that not all do in the same moment."""
        return round(self._settings.retry * random.uniform(0.5, 1.5) * 1000)  # noqa: S311 - no secret


async def _close_on_disconnect(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()
