"""The event envelope, the event types, and the channels that hint at news."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

#: Somebody committed rows into `task_event`. Carries no payload and may be lost: the table is the truth.
EVENT_CHANNEL = "gateway_event"
#: Somebody committed messages into a queue. Carries no payload and may be lost.
QUEUE_CHANNEL = "gateway_queue"
#: Somebody cancelled or ended work that a worker may hold. Carries no payload and may be lost.
CONTROL_CHANNEL = "gateway_control"
#: An API key was revoked, changed or removed: the payload is its id. Whoever missed some looks at every key again.
KEY_CHANNEL = "gateway_key"


class EventType(StrEnum):
    """Every type a stream can carry; `snapshot` is made by the stream itself and is never stored."""

    TASK_PENDING = "task.pending"
    TASK_STARTED = "task.started"
    TASK_PROGRESS = "task.progress"
    TASK_RETRY = "task.retry"
    TASK_SUCCEEDED = "task.succeeded"
    TASK_FAILED = "task.failed"
    TASK_REVOKED = "task.revoked"
    RUN_QUEUED = "test_run.queued"
    RUN_STARTED = "test_run.started"
    RUN_PROGRESS = "test_run.progress"
    RUN_COMPLETED = "test_run.completed"
    RUN_PARTIAL = "test_run.partial"
    RUN_FAILED = "test_run.failed"
    RUN_CANCELLED = "test_run.cancelled"
    RESULT_FINISHED = "test_result.finished"
    GROUP_QUEUED = "run_group.queued"
    GROUP_PROGRESS = "run_group.progress"
    GROUP_COMPLETED = "run_group.completed"
    GROUP_PARTIAL = "run_group.partial"
    GROUP_FAILED = "run_group.failed"
    GROUP_CANCELLED = "run_group.cancelled"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    SNAPSHOT = "snapshot"


#: After one of these a subject's stream ends.
TERMINAL_TYPES = frozenset(
    {
        EventType.TASK_SUCCEEDED,
        EventType.TASK_FAILED,
        EventType.TASK_REVOKED,
        EventType.RUN_COMPLETED,
        EventType.RUN_PARTIAL,
        EventType.RUN_FAILED,
        EventType.RUN_CANCELLED,
        EventType.GROUP_COMPLETED,
        EventType.GROUP_PARTIAL,
        EventType.GROUP_FAILED,
        EventType.GROUP_CANCELLED,
    }
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One transition of one subject: a task, a test run, a run group or a webhook endpoint.

    `subject` is the subject's id; `seq` counts its events from 1 without gaps, so `(subject, seq)` tells duplicates.
    `id` orders events of different subjects only loosely and is no cursor.
    """

    id: int
    type: str
    subject: str
    seq: int
    at: datetime
    organization_id: UUID
    #: A JSON object without line breaks.
    data_json: str
    #: The transaction that wrote it, 0 if none did; no part of the envelope.
    xid: int = 0

    @cached_property
    def data(self) -> dict[str, Any]:
        """What happened; parsed when somebody asks, once."""
        parsed: dict[str, Any] = json.loads(self.data_json)
        return parsed
