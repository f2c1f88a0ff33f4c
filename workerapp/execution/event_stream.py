"""Server-sent events, as an application streams its answer: the data of each, read within a limit."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from dataclasses import dataclass

from workerapp.execution.trace import Content


class StreamTooLarge(Exception):
    """More bytes came than are accepted."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; its type is `message` unless it says otherwise."""

    type: str
    data: str


async def read_events(content: Content, limit: int) -> AsyncIterator[ServerEvent]:
    """The events with data, as they come; one that the stream's end cuts off is none.

    Raises:
        StreamTooLarge: there are more than `limit` bytes.
    """
    kind, data = "message", list[str]()
    async for line in _lines(content, limit):
        name, _, value = line.partition(":")
        if not line:
            if data:
                yield ServerEvent(kind, "\n".join(data))
            kind, data = "message", []
        elif name == "data":
            data.append(value.removeprefix(" "))
        elif name == "event":
            kind = value.removeprefix(" ")


async def _lines(content: Content, limit: int) -> AsyncIterator[str]:
    """The lines that are complete; CR LF, LF and CR end one."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    read, begun, after_return = 0, list[str](), False
    while chunk := await content.readany():
        read += len(chunk)
        if read > limit:
            raise StreamTooLarge
        text = decoder.decode(chunk)
        if after_return and text:
            # The two may come in two pieces.
            text = text.removeprefix("\n")
        after_return = text.endswith("\r") if text else after_return
        *ended, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in ended:
            yield "".join((*begun, line))
            begun = []
        begun.append(rest)
