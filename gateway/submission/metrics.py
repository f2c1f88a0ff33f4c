"""What a gateway counts of the tasks that it submits. No tenant is named, and tasks only up to a number of names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
#: Callers name only tasks that they may submit, which are an operator's to allow: by patterns, too.
_MOST_NAMES = 200
_OTHER = "other"


class SubmissionMetrics:
    """Made once for each application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._names: set[str] = set()
        self._submitted = Counter("gateway_submissions", "Tasks whose message was stored.", ["task"], registry=registry)
        self._duration = Histogram(
            "gateway_submission_duration_seconds",
            "How long making and storing a message took.",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self.hints = Counter("gateway_hints", "Hints that there is news.", ["outcome"], registry=registry)
        for outcome in ("sent", "lost"):
            self.hints.labels(outcome)

    def submit(self, task: str, seconds: float) -> None:
        """Count a task, whatever becomes of its transaction."""
        if len(self._names) < _MOST_NAMES:
            self._names.add(task)
        self._submitted.labels(task if task in self._names else _OTHER).inc()
        self._duration.observe(seconds)
