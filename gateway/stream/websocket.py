"""Many streams over one WebSocket: the client subscribes and unsubscribes, every message names its subscription.

There is nothing to acknowledge: a client that was cut off subscribes again with its last cursors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.stream.batch import Item, Message
from gateway.stream.feed import Feed, Follower, follow
from gateway.stream.hold import Hold, hold_forever
from gateway.stream.hub import Subscription
from gateway.stream.metrics import Ending, Protocol, StreamMetrics
from gateway.stream.settings import StreamSettings

logger = logging.getLogger(__name__)

_OUTAGES = (SQLAlchemyError, OSError)
#: Why the server ends a connection (RFC 6455 and the IANA registry).
UNSUPPORTED_DATA, GOING_AWAY, TRY_AGAIN = 1003, 1001, 1013
#: As HTTP's 401, in the range of codes that are an application's own.
UNAUTHORIZED = 4401

_FAREWELLS = {
    Ending.MAX_AGE: (GOING_AWAY, "connected for long enough: connect again and resume"),
    Ending.STALLED: (TRY_AGAIN, "nothing was read for too long: connect again and resume"),
    Ending.UNAUTHORIZED: (UNAUTHORIZED, "the key or token is good no more: connect again with another and resume"),
}


class _In(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]


class Subscribe(_In):
    """Follow a stream, under a name of the client's."""

    type: Literal["subscribe"]
    id: Name
    #: The path of the stream, with its filters.
    to: Annotated[str, Field(min_length=1, max_length=8000)]
    after: Annotated[str, Field(max_length=8000)] | None = None


class Unsubscribe(_In):
    """Follow it no more."""

    type: Literal["unsubscribe"]
    id: Name


class Ping(_In):
    """Answer, so that the client knows that somebody is there."""

    type: Literal["ping"]


_MESSAGE: TypeAdapter[Subscribe | Unsubscribe | Ping] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
)

#: Opens what a client subscribes to, none if it has all of it already. Raises what `Describe` can tell of.
OpenFeed: TypeAlias = Callable[[Subscribe], Awaitable[Feed | None]]
#: A refusal or an outage as callers get to see it; none for a fault of ours.
Describe: TypeAlias = Callable[[Exception], dict[str, Any] | None]


class Conversation:
    """One client's subscriptions over one connection, which is accepted."""

    def __init__(
        self,
        websocket: WebSocket,
        open_feed: OpenFeed,
        describe: Describe,
        settings: StreamSettings,
        metrics: StreamMetrics,
        *,
        hold: Hold = hold_forever,
    ) -> None:
        self._websocket = websocket
        self._open_feed = open_feed
        self._describe = describe
        self._settings = settings
        self._metrics = metrics
        self._hold = hold
        self._ending = Ending.DISCONNECTED  # how streams end that are cut off
        self._limit = asyncio.timeout(None)
        self._streams: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until the client leaves, does not read, may read no more, or was connected for the longest time allowed."""
        with self._metrics.websockets.track_inprogress():
            await self._run()

    async def _run(self) -> None:
        try:
            await self._listen()
            if self._ending in _FAREWELLS:
                await self._close(*_FAREWELLS[self._ending])
        finally:
            await self._end_all()

    async def _listen(self) -> None:
        longest = self._settings.max_age * random.uniform(0.9, 1)  # noqa: S311 - only spreads the load
        try:
            async with asyncio.timeout(longest) as self._limit:
                with self._hold(lambda: self._cut_off(Ending.UNAUTHORIZED)):
                    while True:
                        await self._take(await self._websocket.receive())
        except TimeoutError:
            if self._ending is Ending.DISCONNECTED:
                self._ending = Ending.MAX_AGE
        except WebSocketDisconnect:
            pass

    async def _take(self, message: Any) -> None:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        text = message.get("text")
        if text is None:
            await self._close(UNSUPPORTED_DATA, "messages are JSON, as text")
            raise WebSocketDisconnect(UNSUPPORTED_DATA)
        try:
            await self._obey(_MESSAGE.validate_json(text))
        except ValidationError as error:
            await self._send(error=_malformed(error), type="error")

    async def _obey(self, message: Subscribe | Unsubscribe | Ping) -> None:
        if isinstance(message, Subscribe):
            await self._subscribe(message)
        elif isinstance(message, Unsubscribe):
            await self._unsubscribe(message.id)
        else:
            await self._send(type="pong")

    async def _subscribe(self, message: Subscribe) -> None:
        if refusal := self._refusal(message.id):
            await self._send(type="error", id=message.id, error=refusal)
            return
        try:
            feed = await self._open_feed(message)
        except Exception as error:  # noqa: BLE001 - it is told or logged, and the connection goes on
            await self._tell_failure(message.id, error)
            return
        if feed is None:
            await self._send(type="subscribed", id=message.id)
            await self._send(type="end", id=message.id, cursor=message.after)
        else:
            self._start(message.id, feed, feed.subscribe())

    def _start(self, name: str, feed: Feed, subscription: Subscription) -> None:
        """Stream from a task of its own; the subscription ends with it, even if it is cancelled before it begins."""
        stream = asyncio.create_task(self._stream(name, feed, subscription), name="websocket-stream")
        self._streams[name] = stream
        stream.add_done_callback(lambda ended: self._forget(name, ended))
        stream.add_done_callback(lambda _: subscription.close())

    def _refusal(self, name: str) -> dict[str, Any] | None:
        if name in self._streams:
            return {"code": "subscription_exists", "detail": "There is a subscription of this id; choose another one."}
        most = self._settings.max_subscriptions
        if len(self._streams) >= most:
            detail = f"A connection has at most {most} subscriptions; unsubscribe from one, or follow the organization."
            return {"code": "too_many_subscriptions", "detail": detail}
        return None

    async def _unsubscribe(self, name: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is None:
            detail = "There is no subscription of this id, or it has ended."
            await self._send(type="error", id=name, error={"code": "subscription_unknown", "detail": detail})
            return
        stream.cancel()
        with suppress(asyncio.CancelledError):
            await stream
        await self._send(type="unsubscribed", id=name)

    async def _stream(self, name: str, feed: Feed, subscription: Subscription) -> None:
        with self._metrics.open_stream(Protocol.WEBSOCKET) as stream:
            try:
                stream.ending = await self._send_all(name, feed, subscription)
            except asyncio.CancelledError:
                stream.ending = self._ending
                raise
            except WebSocketDisconnect as error:
                stream.ending = Ending.STALLED if error.code == TRY_AGAIN else Ending.DISCONNECTED
            except Exception as error:  # noqa: BLE001 - the other subscriptions go on
                stream.ending = Ending.INTERRUPTED if isinstance(error, _OUTAGES) else Ending.FAILED
                await self._tell_failure(name, error)

    async def _send_all(self, name: str, feed: Feed, subscription: Subscription) -> Ending:
        await self._send(type="subscribed", id=name)
        follower = feed.follow(subscription)
        async for batch in follow(follower, subscription, self._settings.keep_alive):
            for item in batch.items:
                await self._send_item(name, item)
            if not batch:
                await self._send(type="ping", id=name, cursor=follower.cursor)
        ending = subscription.ending
        subscription.close()
        await self._send_end(name, follower)
        return ending

    async def _send_end(self, name: str, follower: Follower) -> None:
        """Nothing more will come; a stream that is cut off has said so."""
        if follower.is_complete:
            await self._send(type="end", id=name, cursor=follower.cursor)

    async def _tell_failure(self, name: str, error: Exception) -> None:
        described = self._describe(error)
        if described is None:
            logger.error("websocket_stream_failed", exc_info=error)
            described = {"code": "internal_error", "detail": "The server failed to go on; its log has the reason."}
        elif isinstance(error, _OUTAGES):
            logger.warning("stream_interrupted", extra={"error": type(error).__name__, "reason": str(error)})
        with suppress(WebSocketDisconnect):
            await self._send(type="error", id=name, error=described)

    async def _send_item(self, name: str, item: Item) -> None:
        if isinstance(item, Message):
            head = json.dumps({"type": "event", "id": name, "cursor": item.cursor}, separators=(",", ":"))
            await self._send_text(f'{head[:-1]},"event":{item.body.decode()}}}')
        else:
            await self._send(type=item.kind.value, id=name, cursor=item.cursor)

    async def _send(self, **message: Any) -> None:
        await self._send_text(json.dumps(message, separators=(",", ":")))

    async def _send_text(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                await self._websocket.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            logger.info("stream_stalled", extra={"seconds": self._settings.send_timeout})
            # All ends, or it might read on and never know that one of its streams is over.
            self._cut_off(Ending.STALLED)
            raise WebSocketDisconnect(TRY_AGAIN) from None

    def _cut_off(self, ending: Ending) -> None:
        """End everything, unless it is just ending."""
        if self._ending is Ending.DISCONNECTED and not self._limit.expired():
            self._ending = ending
            self._limit.reschedule(0)

    async def _close(self, code: int, reason: str) -> None:
        await self._end_all()
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(self._settings.send_timeout):
                await self._websocket.close(code, reason)

    async def _end_all(self) -> None:
        streams = [*self._streams.values()]
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    def _forget(self, name: str, ended: asyncio.Task[None]) -> None:
        if self._streams.get(name) is ended:
            del self._streams[name]


def _malformed(error: ValidationError) -> dict[str, Any]:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the message"
    detail = (
        f"{where}: {first['msg']}. Messages are {{type: subscribe, id, to, after?}}, {{type: unsubscribe, id}} and"
        " {type: ping}."
    )
    return {"code": "malformed_message", "detail": detail}
