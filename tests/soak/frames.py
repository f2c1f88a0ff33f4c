"""Server-sent events as a client reads them: a frame counts when all of it has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands between two empty lines."""

    #: Where the client is when it has read this; none where the frame does not move it.
    cursor: str | None
    kind: str
    #: None for a keep-alive.
    data: str | None
    #: Milliseconds after which to come back, if it says so.
    retry: int | None = None


class FrameReader:
    """The frames of one connection; what was cut off is forgotten with it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that are whole now."""
        *whole, self._rest = (self._rest + chunk).split(b"\n\n")
        return [_parse(text.decode()) for text in whole]


def _parse(text: str) -> Frame:
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        fields[name] = value.removeprefix(" ")
    retry = int(fields["retry"]) if "retry" in fields else None
    return Frame(cursor=fields.get("id"), kind=fields.get("event", "message"), data=fields.get("data"), retry=retry)
