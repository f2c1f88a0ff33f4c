"""One attempt to deliver: what was claimed for it, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from yarl import URL


class Outcome(StrEnum):
    """What the receiver made of it."""

    DELIVERED = "delivered"
    FAILED = "failed"
    #: It wants no more, ever.
    GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A delivery that is ours to try once, while the lease lasts."""

    id: UUID
    organization_id: UUID
    webhook_endpoint_id: UUID
    url: str
    sealed_secrets: bytes
    sealed_headers: bytes | None
    event_type: str
    payload: Mapping[str, Any]
    #: Counts the attempts at this delivery from 1.
    attempt: int
    #: Whether the endpoint is known to be slow or failing.
    slow: bool
    due_at: datetime
    #: Where in a trace the run that it tells of was planned.
    traceparent: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What the log tells of it; the rest of the URL may be a secret."""
        return {
            "organization_id": str(self.organization_id),
            "webhook_endpoint_id": str(self.webhook_endpoint_id),
            "delivery_id": str(self.id),
            "host": _host(self.url),
            "event_type": self.event_type,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """How it went; `duration_ms` is the time until that was known, without what this process was late to see it."""

    claim: Claim
    outcome: Outcome
    http_status: int | None = None
    error: str | None = None
    #: The beginning of the answer's body.
    excerpt: str | None = None
    duration_ms: float = 0.0
    #: How many seconds the receiver asks to wait.
    retry_after: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As the database takes it."""
        return {
            "id": str(self.claim.id),
            "outcome": self.outcome,
            "http_status": self.http_status,
            "error": self.error,
            "excerpt": self.excerpt,
            "duration_ms": self.duration_ms,
            "retry_after": self.retry_after,
        }


def _host(url: str) -> str | None:
    try:
        return URL(url).host
    except ValueError:
        return None
