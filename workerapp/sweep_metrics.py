"""What a worker counts of the sweeps that were its own to make."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_DURATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120)


class SweepMetrics:
    """Made once for each app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._done = Counter("gateway_sweeper_repaired", "What there was to do in sweeps.", ["step"], registry=registry)
        self._failures = Counter(
            "gateway_sweeper_failures", "Steps of sweeps that ended by an error.", ["step"], registry=registry
        )
        self._duration = Histogram(
            "gateway_sweeper_step_duration_seconds",
            "How long steps of sweeps took.",
            ["step"],
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )

    def show_zeros(self, step: str) -> None:
        """A rate can be taken only from a series that was there before it moved."""
        self._done.labels(step)
        self._failures.labels(step)

    def count(self, step: str, *, done: int, seconds: float, failed: bool) -> None:
        """A step has ended."""
        self._done.labels(step).inc(done)
        self._duration.labels(step).observe(seconds)
        if failed:
            self._failures.labels(step).inc()
