"""What a worker counts of the webhooks it sends. No label is a tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from workerapp.webhooks.attempt import Attempt, Claim, Outcome
from workerapp.webhooks.claims import Backlog

_DURATION_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
_DELAY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class WebhookMetrics:
    """Made once for each app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "gateway_webhook_attempts", "Attempts to deliver a webhook.", ["outcome"], registry=registry
        )
        for outcome in Outcome:
            self._attempts.labels(outcome)
        self._duration = Histogram(
            "gateway_webhook_attempt_duration_seconds",
            "From the beginning of an attempt until its outcome was known.",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._delay = Histogram(
            "gateway_webhook_delay_seconds",
            "From the time an attempt was due until it began.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge("gateway_webhook_attempts_in_flight", "Attempts under way.", registry=registry)
        self._pending = Gauge("gateway_webhook_pending", "Deliveries that have not ended.", registry=registry)
        self._overdue = Gauge(
            "gateway_webhook_overdue_seconds", "How long the oldest delivery that is due has been.", registry=registry
        )

    @contextmanager
    def under_way(self, claim: Claim) -> Iterator[None]:
        """An attempt that is made meanwhile."""
        self._delay.observe(_seconds_since(claim.due_at))
        with self._in_flight.track_inprogress():
            yield

    def count(self, attempt: Attempt) -> None:
        """An attempt that has ended."""
        self._attempts.labels(attempt.outcome).inc()
        self._duration.observe(attempt.duration_ms / 1000)

    def tell(self, backlog: Backlog) -> None:
        """What waits in the database."""
        self._pending.set(backlog.pending)
        self._overdue.set(0 if backlog.due_since is None else _seconds_since(backlog.due_since))


def _seconds_since(moment: datetime) -> float:
    return max((datetime.now(UTC) - moment).total_seconds(), 0.0)
