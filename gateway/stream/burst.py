"""Events of one topic that the tail read together: one object for all the streams that get them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.stream.batch import Batch, Message
from gateway.stream.envelope import EncodedEvent
from gateway.stream.span import Span
from workerapp.contract.events import TERMINAL_TYPES


class Burst:
    """Some consecutive events, and what a stream sends of them that gets all."""

    __slots__ = ("batch", "events", "first", "is_plain", "last", "size", "span")

    def __init__(self, events: Sequence[EncodedEvent], batch: Batch, span: Span | None = None) -> None:
        self.events = events
        self.batch = batch
        #: The part of the log these are all of, for readers of a whole organization.
        self.span = span
        self.size = sum(len(event.body) for event in events)
        self.first, self.last = events[0].seq, events[-1].seq
        #: Nothing is missing between the first event and the last one, and the subject has not ended.
        self.is_plain = self.last - self.first == len(events) - 1 and not any(map(is_terminal, events))


def subject_burst(events: Sequence[EncodedEvent]) -> Burst:
    """Events of one subject: the cursor is the number of the event."""
    return Burst(events, Batch([message_of(event) for event in events]))


def organization_burst(events: Sequence[EncodedEvent], span: Span) -> Burst:
    """Events of one organization, all there are in a part of the log."""
    cursors = span.cursors([event.event.id for event in events])
    messages = [Message(cursor, event.body) for cursor, event in zip(cursors, events, strict=True)]
    return Burst(events, Batch(messages), span)


def message_of(event: EncodedEvent) -> Message:
    """The event as a stream of its subject sends it."""
    return Message(str(event.seq), event.body)


def is_terminal(event: EncodedEvent) -> bool:
    """Whether nothing comes after the event in its subject."""
    return event.event.type in TERMINAL_TYPES
