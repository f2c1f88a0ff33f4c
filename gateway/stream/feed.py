"""What can be streamed, whichever protocol carries it: batches of messages and notices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from gateway.stream.hub import Subscription


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


@dataclass(frozen=True, slots=True)
class Notice:
    """A word about the stream; `cursor` is the last one given, or for `reset` the one refused."""

    kind: NoticeKind
    cursor: str | None


Item: TypeAlias = Message | Notice
#: What is to be sent together; an empty one says that nothing happened for a while.
Batch: TypeAlias = Sequence[Item]


class Feed(Protocol):
    """A stream ready to be opened."""

    @property
    def cursor(self) -> str | None:
        """Where the client says it is."""

    def subscribe(self) -> Subscription:
        """Start to collect events; leave the `with` block at the end of the stream."""

    def follow(self, subscription: Subscription) -> AsyncGenerator[Batch, None]:
        """Everything there is to send. Neither a connection nor a transaction is held between two batches."""
