"""The event that every server sends: of the form and size of the gateway's own."""

from __future__ import annotations

import json
import time
from uuid import uuid4

SUBJECT, ORGANIZATION = str(uuid4()), str(uuid4())


def progress() -> dict[str, int]:
    """What the publisher puts into an event: the moment of its publication, in microseconds since the epoch."""
    return {"published": time.time_ns() // 1000}


def event(seq: int) -> bytes:
    """An envelope like the gateway's, published now."""
    data = {"task_id": SUBJECT, "name": "echo", "status": "PENDING", "retries": 0, "progress": progress()}
    envelope = {
        "id": seq,
        "type": "task.progress",
        "subject": SUBJECT,
        "seq": seq,
        "at": "2026-01-01T00:00:00.000000Z",
        "organization_id": ORGANIZATION,
        "data": data,
    }
    return json.dumps(envelope, separators=(",", ":")).encode()
