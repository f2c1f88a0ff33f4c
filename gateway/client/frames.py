"""Server-sent events out of bytes: the part of the format that a client has to understand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """What one blank line ends; without `data` it is no event, and moves the cursor if it has an `id`."""

    id: str | None
    name: str
    data: str | None
    #: Milliseconds after which to come back.
    retry: int | None = None


class FrameReader:
    """Reads one stream; a frame that was cut off at its end is left out, as the format demands."""

    def __init__(self) -> None:
        self._rest = b""
        self._id: str | None = None
        self._name = "message"
        self._data: list[str] = []
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that end in this chunk.

        Lines end with a line feed here; a text may hold any other separator, which `splitlines` would split at.
        """
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            text = line.removesuffix(b"\r").decode(errors="replace")
            if text:
                self._read_field(text)
            else:
                yield Frame(self._id, self._name, "\n".join(self._data) if self._data else None, self._retry)
                self._clear()

    def _read_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._retry = int(value)

    def _clear(self) -> None:
        self._id, self._name, self._data, self._retry = None, "message", [], None
