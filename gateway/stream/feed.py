"""What can be streamed, whichever protocol carries it, and how it is followed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from typing import Protocol, TypeAlias

from gateway.stream.batch import Batch
from gateway.stream.burst import Burst
from gateway.stream.hub import Subscription

#: Sends a batch in place, without waiting; false if the connection cannot take it now.
Direct: TypeAlias = Callable[[Batch], bool]


class Follower(ABC):
    """How far one stream is. It waits for the database only; whoever drives it knows how to wait for events."""

    __slots__ = ("_is_behind", "_subscription", "is_over")

    def __init__(self, subscription: Subscription, *, is_behind: bool) -> None:
        self._subscription = subscription
        self._is_behind = is_behind  # the table has, or may have, more
        #: Whether this stream ends here.
        self.is_over = False

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether it ends because nothing will ever come: the client has everything."""

    @property
    @abstractmethod
    def cursor(self) -> str | None:
        """Where a client is that has been given everything so far and has no news; none if it has nothing."""

    @abstractmethod
    def pass_on(self, burst: Burst, send: Direct) -> bool:
        """Send what simply comes next; false if this burst needs `advance`, or cannot be sent now."""

    async def advance(self) -> Batch | None:
        """What there is to tell; none when that is nothing until the subscription has news, or the stream is over.

        Neither a connection nor a transaction is held in between.
        """
        while not self.is_over:
            batch = await self._step()
            if batch is not None:
                return batch
            if not self._is_behind and not self._subscription.has_news:
                break
        return None

    @abstractmethod
    async def _step(self) -> Batch | None:
        """One read of the table, or what the subscription has; none if that was nothing to tell."""


class Feed(Protocol):
    """A stream ready to be opened."""

    def subscribe(self) -> Subscription:
        """Start to collect events; leave the `with` block at the end of the stream."""

    def follow(self, subscription: Subscription) -> Follower:
        """Begin at the client's cursor."""


async def follow(follower: Follower, subscription: Subscription, keep_alive: float) -> AsyncGenerator[Batch, None]:
    """Everything there is to send, to the end; an empty batch when nothing happened for so many seconds."""
    while not follower.is_over:
        batch = await follower.advance()
        if batch is not None:
            yield batch
        elif not follower.is_over:
            await subscription.wait(keep_alive)
            if not subscription.has_news:
                yield Batch([])
