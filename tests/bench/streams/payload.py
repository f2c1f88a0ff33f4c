"""The event that every server sends: of the form and size of the gateway's own."""

from __future__ import annotations

import json
from uuid import uuid4

SUBJECT, ORGANIZATION = str(uuid4()), str(uuid4())


def progress(published: float) -> dict[str, int]:
    """What the publisher puts into an event: the moment of its publication, in microseconds since the epoch."""
    return {"published": round(published * 1e6)}


def event(seq: int, published: float) -> bytes:
    """An envelope like the gateway's."""
    data = {"task_id": SUBJECT, "name": "echo", "status": "PENDING", "retries": 0, "progress": progress(published)}
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
