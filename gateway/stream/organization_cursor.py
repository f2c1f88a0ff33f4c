"""How far a client has read the events of its organization, and the opaque text that says so."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Self

from gateway.stream.cursor import CursorInvalid
from gateway.stream.snapshot import MOST, Snapshot

#: What proxies let through in a header; a cursor among 40 writers has about 100 characters.
MOST_CHARACTERS = 8_000
EPOCH_BYTES = 8
#: Behind the latest transaction that has ended; more than a server has connections, for subtransactions count too.
MOST_BEGUN = 100_000
_VERSION = 1
_BITS, _MOST_BITS, _MORE = 7, 63, 0x80


@dataclass(frozen=True, slots=True)
class Mark:
    """The log at one moment: what the snapshot sees, with the highest id among it (0 if there is none).

    From `next_xid` on no transaction had begun: they draw higher ids than `newest_id`. A snapshot's `xmax` does not say
    so: behind it, transactions may be at work that had drawn lower ones.

    Raises:
        ValueError: the parts contradict each other.
    """

    snapshot: Snapshot
    newest_id: int
    next_xid: int

    def __post_init__(self) -> None:
        if not 0 <= self.newest_id <= MOST or not 0 <= self.next_xid - self.snapshot.xmax <= MOST_BEGUN:
            raise ValueError("these are not the parts of a mark")


@dataclass(frozen=True, slots=True)
class Catching:
    """In the middle of a large difference: of what `target` sees, the events up to `last_id` have been told."""

    target: Mark
    last_id: int


@dataclass(frozen=True, slots=True)
class Position:
    """Everything that `seen` sees has been told, and some of what came later, if it is catching up.

    `epoch` names the history of the database in which the numbers mean something.
    """

    epoch: bytes
    seen: Mark
    catching: Catching | None = None

    @property
    def last_id(self) -> int:
        """The last event told of the difference that is being read; 0 at its beginning."""
        return self.catching.last_id if self.catching else 0

    def advanced_to(self, mark: Mark) -> Self:
        """The position when everything that `mark` sees has been told."""
        return replace(self, seen=mark, catching=None)

    def advanced_within(self, target: Mark, last_id: int) -> Self:
        """The position when what `target` sees has been told up to one event."""
        return replace(self, catching=Catching(target, last_id))

    def has_told(self, xid: int, event_id: int) -> bool:
        """Whether an event is among what was told.

        By its id too: a crash of the server may hand out a transaction id again, but never an event's.
        """
        if self.seen.snapshot.sees(xid) and event_id <= self.seen.newest_id:
            return True
        return self.catching is not None and event_id <= self.last_id and self.catching.target.snapshot.sees(xid)


def encode_position(position: Position) -> str:
    """Write the cursor: URL-safe, and short, because numbers are written as their differences."""
    if position.catching is not None:
        return CursorsWithin(position, position.catching.target).cursor_at(position.catching.last_id)
    return _as_text(_payload(position.epoch, position.seen))


class CursorsWithin:
    """Writes cursors in the middle of one difference, which have all but the last number in common."""

    def __init__(self, position: Position, target: Mark) -> None:
        self._common = _payload(position.epoch, position.seen, target)

    def cursor_at(self, last_id: int) -> str:
        """The cursor of a client that has been told the difference up to this event."""
        return _as_text(self._common + _varint(last_id))


def decode_position(text: str) -> Position:
    """Read a cursor that `encode_position` wrote.

    Raises:
        CursorInvalid: we never gave such a cursor; the message is a sentence for the caller.
    """
    try:
        return _read_position(text)
    except ValueError:
        raise CursorInvalid(
            "This is not a cursor of an organization's events; send one exactly as it was received."
        ) from None


def _read_position(text: str) -> Position:
    if len(text) > MOST_CHARACTERS:
        raise ValueError("too long")
    payload = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if payload[:1] != bytes([_VERSION]):
        raise ValueError("another version")
    epoch, numbers = payload[1 : 1 + EPOCH_BYTES], deque(_varints(payload[1 + EPOCH_BYTES :]))
    position = Position(epoch, _read_mark(numbers))
    if numbers:
        target = _read_mark(numbers)
        position = position.advanced_within(target, _take(numbers))
    if numbers:
        raise ValueError("too long")
    return position


def _payload(epoch: bytes, *marks: Mark) -> bytes:
    return bytes([_VERSION]) + epoch + b"".join(_varint(number) for mark in marks for number in _mark_numbers(mark))


def _as_text(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).decode().rstrip("=")


def _mark_numbers(mark: Mark) -> Iterator[int]:
    snapshot = mark.snapshot
    yield from (snapshot.xmin, snapshot.xmax - snapshot.xmin, len(snapshot.xip))
    yield from (xid - before for before, xid in pairwise((snapshot.xmin, *snapshot.xip)))
    yield from (mark.newest_id, mark.next_xid - snapshot.xmax)


def _read_mark(numbers: deque[int]) -> Mark:
    xmin, width, count = (_take(numbers) for _ in range(3))
    steps = (_take(numbers) for _ in range(count))
    xip = tuple(accumulate(steps, initial=xmin))[1:]
    newest_id, begun = _take(numbers), _take(numbers)
    return Mark(Snapshot(xmin, xmin + width, xip), newest_id, xmin + width + begun)


def _take(numbers: deque[int]) -> int:
    """The next number. However many a count promises, the numbers end where the cursor does."""
    if not numbers:
        raise ValueError("too short")
    return numbers.popleft()


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the highest bit."""
    written = bytearray()
    while number >= _MORE:
        written.append(number % _MORE | _MORE)
        number >>= _BITS
    written.append(number)
    return bytes(written)


def _varints(payload: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in payload:
        number |= (byte & ~_MORE) << shift
        shift += _BITS
        if number > MOST or shift > _MOST_BITS:
            raise ValueError("too large")
        if byte < _MORE:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("cut off")
