"""The JSON envelope of an event, made once however many streams carry it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from workerapp.contract.events import Event, EventType

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """An event and its envelope as UTF-8 JSON without line breaks."""

    event: Event
    body: bytes

    @property
    def seq(self) -> int:
        """The event's number within its subject."""
        return self.event.seq

    @property
    def xid(self) -> int:
        """The transaction that wrote the event; 0 if none did."""
        return self.event.xid


def encode(event: Event) -> EncodedEvent:
    """Write the envelope, with the event's data as they are: they need not be parsed to be passed on."""
    envelope = {
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
        "seq": event.seq,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "organization_id": str(event.organization_id),
    }
    return EncodedEvent(event, f'{_to_json(envelope)[:-1]},"data":{event.data_json}}}'.encode())


def event_of(row: Any) -> Event:
    """A row of `task_event`, whichever driver read it (`data` as text, `xid` as a number)."""
    return Event(
        id=row["id"],
        type=row["type"],
        subject=row["subject_id"],
        seq=row["seq"],
        at=row["at"],
        organization_id=row["organization_id"],
        data_json=row["data"],
        xid=row["xid"],
    )


def encode_row(row: Any) -> EncodedEvent:
    """Write the envelope of a row of `task_event`."""
    return encode(event_of(row))


def encode_snapshot(organization_id: UUID, subject: str, seq: int, data: dict[str, Any]) -> EncodedEvent:
    """Write the envelope that opens a stream: how the subject is at `seq`. It is not stored, so its id is 0."""
    return encode(
        Event(
            id=0,
            type=EventType.SNAPSHOT,
            subject=subject,
            seq=seq,
            at=datetime.now(UTC),
            organization_id=organization_id,
            data_json=_to_json(data),
        )
    )
