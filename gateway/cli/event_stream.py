"""Server-sent events out of bytes: the part of the format that a client has to understand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One dispatched event, or a new id alone (`data` is None), which only moves the cursor."""

    id: str | None
    name: str
    data: str | None


def read_events(chunks: Iterable[bytes]) -> Iterator[StreamEvent]:
    """Parse a stream; an event that was cut off at its end is left out, as the format demands."""
    last_id: str | None = None
    name = "message"
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data or last_id is not None:
                yield StreamEvent(last_id, name, "\n".join(data) if data else None)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines end with a line feed here; a text may hold any other separator, which `splitlines` would split at."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
