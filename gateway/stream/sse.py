"""Server-sent events: a feed written as an ASGI response that notices a client which left or does not read.

A stream that waits costs no task switch when an event comes: the hub writes it from where it stands (`_send_at_once`),
and the stream itself wakes up for everything else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, MutableMapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import ServerSentEvent
from starlette.types import Receive, Scope, Send

from gateway.stream.batch import Batch, Item, Message, Notice, NoticeKind
from gateway.stream.burst import Burst
from gateway.stream.eager import Eager
from gateway.stream.feed import Feed
from gateway.stream.hold import Hold, hold_forever
from gateway.stream.hub import Subscription
from gateway.stream.listening import Listener
from gateway.stream.metrics import Ending, Protocol, StreamMetrics
from gateway.stream.settings import StreamSettings

logger = logging.getLogger(__name__)

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Accept"),
]


class _ClientStalled(Exception):
    """The client did not take what was sent within the time allowed."""


class EventStream:
    """An ASGI response. The headers and the first bytes leave at once, whatever there is to tell."""

    def __init__(
        self,
        feed: Feed,
        settings: StreamSettings | None = None,
        metrics: StreamMetrics | None = None,
        hold: Hold = hold_forever,
    ) -> None:
        self._feed = feed
        self._settings = settings or StreamSettings()
        self._metrics = metrics or StreamMetrics()
        self._hold = hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feed.subscribe() as subscription, self._hold(subscription.refuse):
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            if scope["method"] != "HEAD":
                await self._respond(subscription, receive, send)
        # After a stall this waits until the client reads on or the socket's own time is up: there is no way to drop
        # the connection from here, and the subscription is closed already.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _respond(self, subscription: Subscription, receive: Receive, send: Send) -> None:
        with self._metrics.open_stream(Protocol.SSE) as stream:
            try:
                stream.ending = await _Writer(self._feed, self._settings, subscription, receive, send).run()
            except _ClientStalled:
                stream.ending = Ending.STALLED
                logger.info("stream_stalled", extra={"seconds": self._settings.send_timeout})
            except (SQLAlchemyError, OSError) as error:
                stream.ending = Ending.INTERRUPTED
                # The client comes back with its cursor, and while the database is away it gets an answer, not a stream.
                logger.warning("stream_interrupted", extra={"error": type(error).__name__, "reason": str(error)})


class _Writer:
    """Writes one stream to its end."""

    __slots__ = (
        "_follower",
        "_is_quiet",
        "_listener",
        "_send",
        "_settings",
        "_subscription",
        "_unsent",
    )

    def __init__(
        self, feed: Feed, settings: StreamSettings, subscription: Subscription, receive: Receive, send: Send
    ) -> None:
        self._follower = feed.follow(subscription)
        self._settings = settings
        self._subscription = subscription
        self._listener = Listener(receive)
        self._send = send
        self._is_quiet = True  # nothing was sent since the last keep-alive was due
        self._unsent: Eager | None = None  # a batch that the connection could not take at once

    async def run(self) -> Ending:
        """Write it all, and tell why there is no more."""
        now, ending = asyncio.get_running_loop().time, Ending.MAX_AGE
        ends_at = now() + self._settings.max_age * random.uniform(0.9, 1)  # noqa: S311 - only spreads the load
        await self._write(ServerSentEvent(retry=_pause(self._settings), sep="\n").encode())
        while not self._follower.is_over and now() < ends_at:
            batch = await self._follower.advance()
            ending = self._subscription.ending  # now, for a client that was told the end may leave at once
            if batch is not None:
                self._is_quiet = False
                await self._write(self._frames(batch))
                await self._listen(0)
            elif not self._follower.is_over:
                await self._rest()
        return ending if self._follower.is_over else Ending.MAX_AGE

    async def _rest(self) -> None:
        """Until there is something to do; what the hub can send from where it stands is nothing to do."""
        self._subscription.attach(self._listener.wake, self._pass_on)
        await self._listen(self._settings.keep_alive)
        self._subscription.detach()
        if self._unsent is not None:
            await self._in_time(self._unsent)
            self._unsent = None
        elif not self._subscription.has_news:
            if self._is_quiet:
                await self._write(self._keep_alive())
            self._is_quiet = True

    async def _listen(self, seconds: float) -> None:
        """Listen for the client to leave, which closes the subscription, until woken or for so many seconds."""
        if await self._listener.listen(seconds):
            self._subscription.close()

    def _pass_on(self, burst: Burst) -> bool:
        return self._unsent is None and self._follower.pass_on(burst, self._send_at_once)

    def _send_at_once(self, batch: Batch) -> bool:
        sending = Eager(self._send(_message(self._frames(batch))))
        self._is_quiet = False
        if not sending.is_done:
            self._unsent = sending
            self._listener.wake()
        return True

    async def _write(self, body: bytes) -> None:
        await self._in_time(self._send(_message(body)))

    async def _in_time(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                await sending
        except TimeoutError:
            raise _ClientStalled from None

    def _frames(self, batch: Batch) -> bytes:
        if batch.frames is None:
            batch.frames = b"".join([_frame(item, self._settings) for item in batch.items])
        return batch.frames

    def _keep_alive(self) -> bytes:
        # An id without data moves the client's cursor and dispatches nothing.
        cursor = self._follower.cursor
        return b": keep-alive\n\n" if cursor is None else b"id: %b\n\n" % cursor.encode()


def _message(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _frame(item: Item, settings: StreamSettings) -> bytes:
    if isinstance(item, Message):
        return b"id: %b\ndata: %b\n\n" % (item.cursor.encode(), item.body)
    return _notice(item, settings)


def _notice(notice: Notice, settings: StreamSettings) -> bytes:
    data = json.dumps({"cursor": notice.cursor}, separators=(",", ":"))
    retry = _pause(settings) if notice.kind is NoticeKind.DRAINING else None
    return ServerSentEvent(data, event=notice.kind.value, retry=retry, sep="\n").encode()


def _pause(settings: StreamSettings) -> int:
    """Milliseconds until the client comes back, spread so that not all do in the same moment."""
    return round(settings.retry * random.uniform(0.5, 1.5) * 1000)  # noqa: S311 - no secret
