"""Compresses answers that are worth it. Streams and files that are written piece by piece go through as they are.

Only what is read (`GET`) is compressed. The answers of other methods may hold a secret next to what the caller has
sent, and the length of both compressed together would tell of it (BREACH).
"""

from __future__ import annotations

import asyncio
import gzip
from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.transport.accepted import weights_of

#: Of the tag of a compressed answer, which has other bytes than the one it was made of.
TAG_SUFFIX = "-gzip"

#: The `Cache-Control` of files that do not depend on who asks.
FOR_EVERYBODY = "no-cache"
#: More than there are of them.
MOST_FILES = 256

_TYPES = ("application/json", "application/yaml", "text/html", "text/css", "text/javascript", "image/svg+xml")
#: A higher one takes several times as long for some percent.
_LEVEL = 6
#: Larger answers are compressed in another thread: the loop has others to answer.
_AT_ONCE_BYTES = 16 * 1024


class Compression:
    """Answers with gzip, for callers that take it."""

    def __init__(self, app: ASGIApp, *, min_bytes: int) -> None:
        """`min_bytes`: of an answer that is worth it; 0: none is."""
        self._app = app
        self._min_bytes = min_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not self._min_bytes:
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(scope, send, self._min_bytes).send)


class _Answer:
    """One answer; its beginning is held until its body is there, which is compressed if that is the whole of it."""

    __slots__ = ("_beginning", "_min_bytes", "_scope", "_send")

    def __init__(self, scope: Scope, send: Send, min_bytes: int) -> None:
        self._scope = scope
        self._send = send
        self._min_bytes = min_bytes
        self._beginning: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._is_worth_it(Headers(raw=message["headers"])):
            MutableHeaders(raw=message["headers"]).add_vary_header("Accept-Encoding")
            if _takes_gzip(Headers(scope=self._scope)):
                self._beginning = message
                return
        beginning, self._beginning = self._beginning, None
        if beginning is None:
            await self._send(message)
        elif message.get("more_body", False):
            await self._send(beginning)
            await self._send(message)
        else:
            await self._send_compressed(beginning, message)

    def _is_worth_it(self, headers: Headers) -> bool:
        length = headers.get("content-length", "")  # whose length is not known is no single message
        kind = headers.get("content-type", "").partition(";")[0]
        return length.isdecimal() and int(length) >= self._min_bytes and kind in _TYPES

    async def _send_compressed(self, beginning: Message, body: Message) -> None:
        headers = MutableHeaders(raw=beginning["headers"])
        short = await _shorten(body["body"], is_for_everybody=headers.get("cache-control") == FOR_EVERYBODY)
        headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(short))
        tag = headers.get("etag", "")
        if tag.startswith('"'):
            headers["etag"] = f'{tag[:-1]}{TAG_SUFFIX}"'
        await self._send(beginning)
        await self._send({**body, "body": short})


async def _shorten(body: bytes, *, is_for_everybody: bool) -> bytes:
    if is_for_everybody:
        # Nobody can have the server do it again and again without a key.
        return await asyncio.to_thread(compress_once, body)
    return _compress(body) if len(body) <= _AT_ONCE_BYTES else await asyncio.to_thread(_compress, body)


def _compress(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


@lru_cache(maxsize=MOST_FILES)
def compress_once(body: bytes) -> bytes:
    """The same, remembered."""
    return _compress(body)


def _takes_gzip(headers: Headers) -> bool:
    """Whether `Accept-Encoding` has gzip, or anything, with another weight than none."""
    weights = weights_of(headers, "accept-encoding")
    return weights.get("gzip", weights.get("*", 0)) > 0
