"""One subject as a stream: where it is or what was missed, then what happens, to the end.

The order is: subscribe, read the table, then live. What is published before the read is in the table, what is
published after it is in the subscription, and what is in both is told by its number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.stream.batch import Batch, Message, Notice, NoticeKind
from gateway.stream.burst import Burst, is_terminal, message_of
from gateway.stream.envelope import EncodedEvent, encode_snapshot
from gateway.stream.event_log import EventLog
from gateway.stream.feed import Direct, Follower
from gateway.stream.hub import End, Hub, Subscription
from gateway.stream.settings import StreamSettings
from workerapp.contract.caller import Caller


@dataclass(frozen=True, kw_only=True, slots=True)
class Representation:
    """A subject as it is now; `seq` and `data` were read together."""

    seq: int
    data: dict[str, Any]
    is_terminal: bool

    def ends_at(self, after: int | None) -> bool:
        """Whether a client with this cursor has everything that will ever come: it gets 204 and no stream."""
        return self.is_terminal and after == self.seq


#: None when the subject is gone, or is not the caller's.
Read: TypeAlias = Callable[[], Awaitable[Representation | None]]


class Opened:
    """A subscription, and the subject as it was read after it began."""

    __slots__ = ("_now", "subscription")

    def __init__(self, subscription: Subscription, now: Representation) -> None:
        self.subscription = subscription
        self._now: Representation | None = now

    def take(self) -> Representation | None:
        """The subject, once: thousands of streams would keep what they told first."""
        now, self._now = self._now, None
        return now


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectFeed:
    """The stream of one subject."""

    hub: Hub
    log: EventLog
    caller: Caller
    subject_id: str
    read: Read
    after: int | None
    settings: StreamSettings
    #: By whoever found out whether there is anything to follow, which is the first half of following it.
    opened: Opened | None = None

    def subscribe(self) -> Subscription:
        """Start to collect the subject's events, if they are the caller's."""
        if self.opened is not None:
            return self.opened.subscription
        return self.hub.subscribe(organization_id=self.caller.organization_id, subject_id=self.subject_id)

    def follow(self, subscription: Subscription) -> SubjectFollower:
        """A snapshot or what was missed, then live, until the terminal event."""
        return SubjectFollower(self, subscription)


class SubjectFollower(Follower):
    """How far one stream is."""

    __slots__ = ("_feed", "_has_begun", "_is_cut", "_is_final", "_known", "_last")

    def __init__(self, feed: SubjectFeed, subscription: Subscription) -> None:
        super().__init__(subscription, is_behind=False)
        self._feed = feed
        self._last = 0  # the number of the last event given
        self._known = 0  # the highest number known to exist
        self._has_begun = False
        self._is_final = False  # nothing comes after `_known`
        self._is_cut = False  # it ends here, and not with its subject

    @property
    def is_complete(self) -> bool:
        """Whether it ends because nothing will ever come: the client has everything."""
        return self.is_over and not self._is_cut

    @property
    def cursor(self) -> str | None:
        """Where the client is, if it is anywhere."""
        return str(self._last) if self._last or self._feed.after is not None else None

    def pass_on(self, burst: Burst, send: Direct) -> bool:
        """Send what simply comes next; false if this burst needs `advance`, or cannot be sent now."""
        if burst.is_plain and burst.first == self._last + 1 and send(burst.batch):
            self._last = burst.last
            return True
        return False

    async def _step(self) -> Batch | None:
        if not self._has_begun:
            self._has_begun = True
            return await self._begin()
        if self._is_behind and self._subscription.end in (None, End.LAGGED):
            return await self._replay()
        return self._take()

    async def _begin(self) -> Batch | None:
        opened, after = self._feed.opened, self._feed.after
        now = opened.take() if opened is not None else await self._feed.read()
        if now is None:
            self.is_over = True
            return None
        if after is None:
            return Batch([self._show(now)])
        if after > now.seq:
            return Batch([Notice(NoticeKind.RESET, str(after)), self._show(now)])
        self._last, self._known, self._is_final = after, now.seq, now.is_terminal
        self._is_behind = after < now.seq
        self.is_over = now.ends_at(after)
        return None

    async def _replay(self) -> Batch | None:
        # What is queued was committed before this read, so the page has it, or a later one has.
        self._subscription.discard()
        most = self._feed.settings.replay_page
        page = await self._feed.log.page(self._feed.caller, self._feed.subject_id, after=self._last, most=most)
        self._is_behind = len(page) == most
        if page and self._continues(page):
            return self._advance(page)
        if not page and self._last >= self._known:
            return None
        return await self._reset()

    def _take(self) -> Batch | None:
        if bursts := self._subscription.take():
            return self._accept([event for burst in bursts for event in burst.events])
        if self._subscription.end is None:
            return None
        self.is_over = self._is_cut = True
        if self._subscription.end is End.CLOSED:
            return None
        return Batch([Notice(NoticeKind(self._subscription.end), str(self._last))])

    def _accept(self, events: Sequence[EncodedEvent]) -> Batch | None:
        fresh = [event for event in events if event.seq > self._last]
        if not fresh:
            return None
        if self._continues(fresh):
            return self._advance(fresh)
        self._known = fresh[-1].seq
        self._is_behind = True
        return None

    async def _reset(self) -> Batch | None:
        now = await self._feed.read()
        if now is None:
            self.is_over = True
            return None
        return Batch([Notice(NoticeKind.RESET, str(self._last)), self._show(now)])

    def _show(self, now: Representation) -> Message:
        self._last = self._known = now.seq
        self._is_behind = False
        self.is_over = now.is_terminal
        caller, subject_id = self._feed.caller, self._feed.subject_id
        return message_of(encode_snapshot(caller.organization_id, subject_id, now.seq, now.data))

    def _continues(self, events: Sequence[EncodedEvent]) -> bool:
        """Whether the events follow the last one given without a hole."""
        return all(event.seq == number for number, event in enumerate(events, start=self._last + 1))

    def _advance(self, events: Sequence[EncodedEvent]) -> Batch:
        self._last = events[-1].seq
        is_told = self._is_final and self._last >= self._known
        self.is_over = is_told or any(map(is_terminal, events))
        return Batch([message_of(event) for event in events])
