"""Everything that happens in one organization as a stream: what was missed, then what happens, without an end.

The order is that of one subject's stream: subscribe, read the log, then live. The log is read up to a snapshot of the
database, so what the hub publishes again is told by whether that snapshot sees it; as soon as the hub is past it,
whatever the hub publishes is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.stream.batch import Batch, Item, Message, Notice, NoticeKind
from gateway.stream.burst import Burst
from gateway.stream.envelope import EncodedEvent, encode_snapshot
from gateway.stream.event_filter import EVERYTHING, EventFilter
from gateway.stream.event_log import After, EventLog, Start
from gateway.stream.feed import Direct, Follower
from gateway.stream.hub import End, Hub, Subscription
from gateway.stream.organization_cursor import Position, encode_position
from gateway.stream.settings import StreamSettings
from gateway.stream.span import Span
from workerapp.contract.caller import Caller


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationFeed:
    """The stream of an organization's events that pass a filter."""

    hub: Hub
    log: EventLog
    caller: Caller
    after: After
    settings: StreamSettings
    only: EventFilter = EVERYTHING

    def subscribe(self) -> Subscription:
        """Start to collect the events of the caller's organization."""
        return self.hub.subscribe(organization_id=self.caller.organization_id)

    def follow(self, subscription: Subscription) -> OrganizationFollower:
        """A snapshot or what was missed, then live."""
        return OrganizationFollower(self, subscription)


class OrganizationFollower(Follower):
    """How far one stream is."""

    __slots__ = ("_feed", "_is_level", "_position", "_takes_all")

    def __init__(self, feed: OrganizationFeed, subscription: Subscription) -> None:
        super().__init__(subscription, is_behind=True)
        self._feed = feed
        self._position: Position | None = feed.after if isinstance(feed.after, Position) else None
        self._is_level = False  # what the hub publishes next comes right behind the position
        self._takes_all = feed.only == EVERYTHING

    @property
    def is_complete(self) -> bool:
        """Never: there is always something to come."""
        return False

    @property
    def cursor(self) -> str | None:
        """Where the client is, at the least; nothing may be left to take."""
        published = self._feed.hub.position
        if self._position is None:
            return None
        if published is not None and _covers(published, self._position):
            return encode_position(published)
        return encode_position(self._position)

    def pass_on(self, burst: Burst, send: Direct) -> bool:
        """Send what simply comes next; false if this burst needs `advance`, or cannot be sent now."""
        if not self._is_level:
            return False
        batch = burst.batch if self._takes_all else Batch(self._select(burst))
        if batch and not send(batch):
            return False
        self._position = _span(burst).after
        return True

    async def _step(self) -> Batch | None:
        if self._position is None and self._feed.after is Start.NOW:
            return Batch([await self._show()])
        if self._is_behind and self._subscription.end in (None, End.LAGGED):
            return await self._replay()
        return self._take()

    async def _replay(self) -> Batch | None:
        # What is queued was committed before this read, so the page has it, or a later one has.
        self._subscription.discard()
        page = await self._feed.log.organization_page(
            self._feed.caller,
            self._position or self._feed.after,
            most=self._feed.settings.replay_page,
            only=self._feed.only,
            scan=self._feed.settings.replay_scan,
        )
        if page.is_reset:
            return Batch([Notice(NoticeKind.RESET, encode_position(page.before)), await self._show()])
        self._position, self._is_behind = page.position, page.has_more
        return _batch(_messages(page.events, Span(page.before, page.position)))

    async def _show(self) -> Message:
        """How the organization is now; what is queued happened before, or will be told apart."""
        self._subscription.discard()
        caller = self._feed.caller
        now = await self._feed.log.organization_now(caller)
        self._position, self._is_behind, self._is_level = now.position, False, False
        data = {"open_test_runs": now.open_test_runs}
        snapshot = encode_snapshot(caller.organization_id, str(caller.organization_id), 0, data)
        return Message(encode_position(now.position), snapshot.body)

    def _take(self) -> Batch | None:
        items: list[Item] = [item for burst in self._subscription.take() for item in self._accept(burst)]
        if self._subscription.end is not None:
            self.is_over = True
            if self._subscription.end is not End.CLOSED:
                cursor = encode_position(self._position) if self._position else None
                items.append(Notice(NoticeKind(self._subscription.end), cursor))
        return _batch(items)

    def _accept(self, burst: Burst) -> Sequence[Item]:
        if self._is_behind:
            return ()  # the log is read first; it has this too
        assert self._position is not None, "the log was read"
        span, position = _span(burst), _settled(self._position, _span(burst))
        if self._is_level:
            self._position = span.after
            return self._select(burst)
        fresh = [event for event in burst.events if not position.has_told(event.xid, event.event.id)]
        if not span.target.snapshot.covers(position.seen.snapshot):
            # The log was read up to a later moment; if not, a crash of the server has taken transactions back.
            self._is_behind = bool(fresh)
            return ()
        self._is_level = span.is_complete
        self._position = span.after if span.is_complete else position.advanced_within(span.target, span.after.last_id)
        passing = [event for event in fresh if self._feed.only.matches(event.event)]
        return _messages(passing, Span(position, self._position))

    def _select(self, burst: Burst) -> Sequence[Item]:
        """The messages of the events that pass the filter, as the hub wrote them for everybody."""
        pairs = zip(burst.events, burst.batch.items, strict=True)
        return [item for event, item in pairs if self._feed.only.matches(event.event)]


def _messages(events: Sequence[EncodedEvent], span: Span) -> list[Item]:
    """Events that were read or are told apart from the hub's own, which write the same cursors for everybody."""
    if not events:
        return []
    cursors = span.cursors([event.event.id for event in events])
    return [Message(cursor, event.body) for cursor, event in zip(cursors, events, strict=True)]


def _batch(items: Sequence[Item]) -> Batch | None:
    return Batch(items) if items else None


def _span(burst: Burst) -> Span:
    assert burst.span is not None, "the hub gives one to every burst of an organization"
    return burst.span


def _settled(position: Position, span: Span) -> Position:
    """The position: through with the difference it is in the middle of, if the hub has gone on to another one."""
    catching = position.catching
    return position if catching is None or catching.target == span.target else position.advanced_to(catching.target)


def _covers(published: Position, position: Position) -> bool:
    if published.epoch != position.epoch or position.catching is not None:
        return False
    # By the id too: after a crash of the server, what was published before may be ahead by its transactions only.
    is_newer = published.seen.newest_id >= position.seen.newest_id
    return is_newer and published.seen.snapshot.covers(position.seen.snapshot)
