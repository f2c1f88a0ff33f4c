"""Server-sent events: a feed written as an ASGI response that notices a client which left or does not read.

A stream that waits costs no task switch when an event comes: the hub writes it from where it stands (`_send_at_once`),
and the stream itself wakes up for everything else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable
from contextlib import aclosing

from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import ServerSentEvent
from starlette.types import Receive, Scope, Send

from gateway.stream.batch import Batch, Item, Message, Notice, NoticeKind
from gateway.stream.eager import Eager
from gateway.stream.feed import Feed
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
                await _Writer(self._feed, self._settings, subscription, send).run()
            except _ClientStalled:
                logger.info("stream_stalled", extra={"seconds": self._settings.send_timeout})
            except (SQLAlchemyError, OSError) as error:
                # The client comes back with its cursor, and while the database is away it gets an answer, not a stream.
                logger.warning("stream_interrupted", extra={"error": type(error).__name__, "reason": str(error)})
            finally:
                watcher.cancel()


class _Writer:
    """Writes one stream to its end."""

    __slots__ = ("_cursor", "_feed", "_is_quiet", "_send", "_settings", "_subscription", "_unsent")

    def __init__(self, feed: Feed, settings: StreamSettings, subscription: Subscription, send: Send) -> None:
        self._feed = feed
        self._settings = settings
        self._subscription = subscription
        self._send = send
        self._cursor = feed.cursor
        self._is_quiet = True  # nothing was sent since the last keep-alive was due
        self._unsent: Eager | None = None  # a batch that the connection could not take at once

    async def run(self) -> None:
        now = asyncio.get_running_loop().time
        ends_at = now() + self._settings.max_age * random.uniform(0.9, 1)  # noqa: S311 - only spreads the load
        await self._in_time(self._write(ServerSentEvent(retry=_pause(self._settings), sep="\n").encode()))
        async with aclosing(self._feed.follow(self._subscription, self._send_at_once)) as batches:
            async for batch in batches:
                await self._finish()
                if batch:
                    await self._in_time(self._write(self._frames(batch)))
                elif self._is_quiet:
                    await self._in_time(self._write(self._keep_alive()))
                self._is_quiet = not batch
                if now() >= ends_at:
                    return
        await self._finish()

    def _send_at_once(self, batch: Batch) -> bool:
        if self._unsent is not None:
            return False
        sending = Eager(self._write(self._frames(batch)))
        self._is_quiet = False
        if not sending.is_done:
            self._unsent = sending
            self._subscription.wake()
        return True

    async def _finish(self) -> None:
        """Wait for the client to take what it could not take at once."""
        if self._unsent is not None:
            await self._in_time(self._unsent)
            self._unsent = None

    async def _write(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _in_time(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                await sending
        except TimeoutError:
            raise _ClientStalled from None

    def _frames(self, batch: Batch) -> bytes:
        if batch.cursor is not None:
            self._cursor = batch.cursor
        if batch.frames is None:
            batch.frames = b"".join([_frame(item, self._settings) for item in batch.items])
        return batch.frames

    def _keep_alive(self) -> bytes:
        # An id without data moves the client's cursor and dispatches nothing.
        return b": keep-alive\n\n" if self._cursor is None else b"id: %b\n\n" % self._cursor.encode()


def _frame(item: Item, settings: StreamSettings) -> bytes:
    if isinstance(item, Message):
        if item.cursor is None:
            return b"data: %b\n\n" % item.body
        return b"id: %b\ndata: %b\n\n" % (item.cursor.encode(), item.body)
    return _notice(item, settings)


def _notice(notice: Notice, settings: StreamSettings) -> bytes:
    data = json.dumps({"cursor": notice.cursor}, separators=(",", ":"))
    retry = _pause(settings) if notice.kind is NoticeKind.DRAINING else None
    return ServerSentEvent(data, event=notice.kind.value, retry=retry, sep="\n").encode()


def _pause(settings: StreamSettings) -> int:
    """Milliseconds until the client comes back, spread so that not all do in the same moment."""
    return round(settings.retry * random.uniform(0.5, 1.5) * 1000)  # noqa: S311 - no secret


async def _close_on_disconnect(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()
