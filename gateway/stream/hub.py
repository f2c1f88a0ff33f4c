"""The fan-out within one process: the tail publishes each event once, every stream that may see it gets it."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import chain
from typing import Self, TypeAlias
from uuid import UUID

from gateway.stream.burst import Burst, organization_burst, subject_burst
from gateway.stream.envelope import EncodedEvent
from gateway.stream.metrics import Ending, StreamMetrics
from gateway.stream.organization_cursor import Position
from gateway.stream.settings import StreamSettings
from gateway.stream.span import Span

#: The tenant is part of the key: there is no way to look a subject up without it.
Topic: TypeAlias = tuple[UUID, str | None]
#: Takes a burst at once, or leaves it to the queue.
Receiver: TypeAlias = Callable[[Burst], bool]
Wake: TypeAlias = Callable[[], None]

#: After so many deliveries the loop gets to write them out and to do something else.
_BREATH = 200


class End(StrEnum):
    """Why a subscription gets no more events."""

    LAGGED = "lagged"
    DRAINING = "draining"
    UNAUTHORIZED = "unauthorized"
    CLOSED = "closed"


_ENDINGS = {
    None: Ending.TERMINAL,
    End.LAGGED: Ending.LAGGED,
    End.DRAINING: Ending.DRAINING,
    End.UNAUTHORIZED: Ending.UNAUTHORIZED,
    End.CLOSED: Ending.DISCONNECTED,
}


class Room(StrEnum):
    """Whether one more stream may be opened."""

    FREE = "free"
    ORGANIZATION_FULL = "organization_full"
    FULL = "full"


class Subscription:
    """The events one stream has still to send; leave its `with` block, or close it, and the hub forgets it."""

    __slots__ = ("_bytes", "_count", "_hub", "_queue", "_receiver", "_settings", "_wake", "end", "topic")

    def __init__(self, hub: Hub, topic: Topic, settings: StreamSettings) -> None:
        self.topic = topic
        self.end: End | None = None
        self._hub = hub
        self._settings = settings
        self._queue: list[Burst] = []
        self._count = 0
        self._bytes = 0
        self._wake: Wake | None = None
        self._receiver: Receiver | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Get no more events; may be called again."""
        self.finish(End.CLOSED)
        self._hub.forget(self)

    def put(self, burst: Burst) -> None:
        """Hand over or queue events. What is too much ends it: nothing is skipped silently and nobody waits."""
        if self.end is not None or (self._receiver is not None and not self._queue and self._receiver(burst)):
            return
        if self._is_full(burst):
            self.finish(End.LAGGED)
            return
        self._queue.append(burst)
        self._count += len(burst.events)
        self._bytes += burst.size
        self._call()

    def take(self) -> list[Burst]:
        """Everything queued, in order; the queue is empty afterwards."""
        taken, self._queue, self._count, self._bytes = self._queue, [], 0, 0
        return taken

    def discard(self) -> None:
        """Forget what is queued, and that there was too much of it: the caller reads the table from here on."""
        self.take()
        if self.end is End.LAGGED:
            self.end = None

    def refuse(self) -> None:
        """End it because its reader may read no more."""
        self.finish(End.UNAUTHORIZED)

    def finish(self, end: End) -> None:
        """End the subscription; what is queued can still be taken when the process drains."""
        self.end = end
        if end is not End.DRAINING:
            self.take()
        self._call()

    @property
    def queued(self) -> int:
        """How many events wait to be taken."""
        return self._count

    @property
    def has_news(self) -> bool:
        """Whether there is something to take, or the end."""
        return bool(self._queue) or self.end is not None

    @property
    def ending(self) -> Ending:
        """Why a stream ended to which nothing more comes: if not by the hub's doing, its subject has ended."""
        return _ENDINGS[self.end]

    def attach(self, wake: Wake, receiver: Receiver | None = None) -> None:
        """Call `wake` once, at the next news; there are none now.

        Until then the `receiver` gets each burst first, with the hub on the stack: it may not wait.
        """
        self._wake, self._receiver = wake, receiver

    def detach(self) -> None:
        """Call nobody."""
        self._wake = self._receiver = None

    @property
    def is_attached(self) -> bool:
        """Whether somebody is to be called."""
        return self._wake is not None

    async def wait(self, seconds: float) -> None:
        """Return when there are news, or after so many seconds."""
        if self.has_news:
            return
        waiter = asyncio.get_running_loop().create_future()
        self.attach(partial(_release, waiter))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        finally:
            self.detach()

    def _call(self) -> None:
        if self._wake is not None:
            wake = self._wake
            self.detach()
            wake()

    def _is_full(self, burst: Burst) -> bool:
        if not self._queue:
            return False
        too_many = self._count + len(burst.events) > self._settings.queue_events
        return too_many or self._bytes + burst.size > self._settings.queue_bytes


def _release(waiter: asyncio.Future[None]) -> None:
    """End the wait, unless its time is up, or its task cancelled, in this very moment."""
    if not waiter.done():
        waiter.set_result(None)


class Hub:
    """Who listens to what in this process."""

    def __init__(self, settings: StreamSettings | None = None, metrics: StreamMetrics | None = None) -> None:
        self._settings = settings or StreamSettings()
        self._metrics = metrics or StreamMetrics()
        self._subscriptions: defaultdict[Topic, set[Subscription]] = defaultdict(set)
        self._open: Counter[UUID] = Counter()
        self._draining = False
        #: How far the tail has published: everything up to here, and nothing behind it, unless it is just at work.
        self.position: Position | None = None

    def __len__(self) -> int:
        return self._open.total()

    def __iter__(self) -> Iterator[Subscription]:
        """Every subscription there is; none may be made or closed meanwhile."""
        return chain.from_iterable(self._subscriptions.values())

    def room_for(self, organization_id: UUID, most: int | None = None) -> Room:
        """Whether the organization may open one more stream here; `most`, if it may have fewer than others."""
        if self._open[organization_id] >= (most or self._settings.max_streams_per_organization):
            return Room.ORGANIZATION_FULL
        return Room.FULL if len(self) >= self._settings.max_streams else Room.FREE

    def subscribe(self, *, organization_id: UUID, subject_id: str | None = None) -> Subscription:
        """Get the events of one subject, or of the whole organization, from now on."""
        subscription = Subscription(self, (organization_id, subject_id), self._settings)
        self._subscriptions[subscription.topic].add(subscription)
        self._open[organization_id] += 1
        if self._draining:
            subscription.finish(End.DRAINING)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Stop delivering to a subscription."""
        members = self._subscriptions.get(subscription.topic, set())
        if subscription not in members:
            return
        members.remove(subscription)
        if not members:
            del self._subscriptions[subscription.topic]
        organization_id = subscription.topic[0]
        self._open[organization_id] -= 1
        if not self._open[organization_id]:
            del self._open[organization_id]

    def wants(self, organization_id: UUID, subject_id: str) -> bool:
        """Whether anybody here would get such an event; if not, it need not even be encoded."""
        return (organization_id, subject_id) in self._subscriptions or (organization_id, None) in self._subscriptions

    async def publish(self, events: Iterable[EncodedEvent], span: Span) -> None:
        """Hand events to whoever may see them: all events of a part of the log, but those that nobody wants.

        Who subscribes meanwhile may get none of them: they are in the table by then.
        """
        deliveries = events_delivered = 0
        for topic, burst in self._bursts(events, span):
            members = tuple(self._subscriptions.get(topic, ()))
            events_delivered += len(burst.events) * len(members)
            for subscription in members:
                subscription.put(burst)
                deliveries += 1
                if deliveries % _BREATH == 0:
                    await asyncio.sleep(0)
        self.position = span.after
        self._metrics.deliveries.inc(events_delivered)

    def lag(self) -> None:
        """End every subscription as if it had lagged: some events may not have been published."""
        self._finish(End.LAGGED)

    def drain(self) -> None:
        """End every subscription, also those to come, because the process stops."""
        self._draining = True
        self._finish(End.DRAINING)

    @property
    def is_draining(self) -> bool:
        """Whether the process stops."""
        return self._draining

    @property
    def is_empty(self) -> bool:
        """Whether nobody listens."""
        return not self._subscriptions

    def _bursts(self, events: Iterable[EncodedEvent], span: Span) -> Iterator[tuple[Topic, Burst]]:
        by_topic: defaultdict[Topic, list[EncodedEvent]] = defaultdict(list)
        for event in events:
            organization_id = event.event.organization_id
            topics: tuple[Topic, Topic] = ((organization_id, event.event.subject), (organization_id, None))
            for topic in topics:
                if topic in self._subscriptions:
                    by_topic[topic].append(event)
        for topic, found in by_topic.items():
            yield topic, subject_burst(found) if topic[1] is not None else organization_burst(found, span)

    def _finish(self, end: End) -> None:
        for members in self._subscriptions.values():
            for subscription in members:
                if subscription.end is None:
                    subscription.finish(end)
