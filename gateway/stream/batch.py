"""What a stream sends together: events as messages, and what the stream says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Message:
    """An envelope, and the cursor of a client that has it."""

    cursor: str
    body: bytes


class NoticeKind(StrEnum):
    """What a stream says about itself."""

    RESET = "reset"  # the cursor is of no use; a snapshot follows
    LAGGED = "lagged"  # the client was too slow; it may resume
    DRAINING = "draining"  # the process stops; the client may resume, here or at another one
    UNAUTHORIZED = "unauthorized"  # the key or the token is good no more


@dataclass(frozen=True, slots=True)
class Notice:
    """A word about the stream; `cursor` is the last one given, or for `reset` the one refused."""

    kind: NoticeKind
    cursor: str | None


Item: TypeAlias = Message | Notice


class Batch:
    """What is to be sent together; an empty one says that nothing happened for a while.

    A batch of the hub is one object for all its streams, so that it is written out once: `frames` is for the protocol
    to remember what it wrote.
    """

    __slots__ = ("frames", "items")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.frames: bytes | None = None

    def __bool__(self) -> bool:
        return bool(self.items)
