"""Waits until a subject is what a caller waits for: told of it by the hub, never by asking the database in turns.

The order is: subscribe, read, wait. What is committed before the read is in what was read; what is committed after it
comes to the subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gateway.stream.burst import Burst
from gateway.stream.hub import End, Receiver, Subscription
from gateway.stream.listening import Listener


class Numbered(Protocol):
    """A subject as it is, read together with the number of its latest event."""

    @property
    def seq(self) -> int: ...
    @property
    def is_terminal(self) -> bool: ...


#: After these nothing will be told.
_ENDS = (End.DRAINING, End.UNAUTHORIZED)

_Numbered = TypeVar("_Numbered", bound=Numbered)

#: Whether a subject that is at this number is what the caller waits for; one that has ended is in any case.
IsAwaited: TypeAlias = Callable[[int], bool]


async def wait_until(
    is_awaited: IsAwaited,
    read: Callable[[], Awaitable[_Numbered]],
    subscription: Subscription,
    receive: Receive,
    seconds: float,
) -> _Numbered:
    """The subject when it is what is awaited, when so many seconds have passed, or when the process drains.

    Also when the subscription ends because the caller may read no more: look at its end before answering.

    In between there is the subscription to its events and nothing else: no connection, and not what was read.

    Raises:
        ClientDisconnect: nobody waits for the answer any more.
    """
    ends_at = asyncio.get_running_loop().time() + seconds
    is_told = True
    while True:
        # What is queued was committed before this read.
        subscription.discard()
        now = await read()
        is_there = now.is_terminal or is_awaited(now.seq)
        if is_there or not is_told or subscription.end in _ENDS:
            return now
        passes = _passes(is_awaited, now.seq)
        del now
        is_told = await _is_told(subscription, passes, Listener(receive), ends_at)


def _passes(is_awaited: IsAwaited, seq: int) -> Receiver:
    """Takes what need not be looked at: it was read already, or is one more step on the way."""

    def passes(burst: Burst) -> bool:
        # What is not plain holds the subject's end, or leaves something out that may have been it.
        return burst.last <= seq or (burst.is_plain and not is_awaited(burst.last))

    return passes


async def _is_told(subscription: Subscription, passes: Receiver, listener: Listener, ends_at: float) -> bool:
    """Whether there is something to look at; false when the time is up."""
    if not all(map(passes, subscription.take())) or subscription.has_news:
        return True
    subscription.attach(listener.wake, passes)
    has_left = await listener.listen(ends_at - asyncio.get_running_loop().time())
    subscription.detach()
    if has_left:
        raise ClientDisconnect
    return subscription.has_news
