"""What can be streamed, whichever protocol carries it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol, TypeAlias

from gateway.stream.batch import Batch
from gateway.stream.hub import Subscription

#: Sends a batch in place, without waiting; false if the connection cannot take it now.
Direct: TypeAlias = Callable[[Batch], bool]


class Feed(Protocol):
    """A stream ready to be opened."""

    @property
    def cursor(self) -> str | None:
        """Where the client says it is."""

    def subscribe(self) -> Subscription:
        """Start to collect events; leave the `with` block at the end of the stream."""

    def follow(self, subscription: Subscription, direct: Direct | None = None) -> AsyncGenerator[Batch, None]:
        """Everything there is to send. Neither a connection nor a transaction is held between two batches.

        While the stream waits, the hub hands what comes next to `direct`, if there is one; only what that does not take
        is yielded.
        """
