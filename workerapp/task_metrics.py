"""What a worker counts of its tasks. The tasks that it has registered are the only ones that it names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import signals
from celery.worker import state
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: Of Celery's own making, such as `celery.chord`; hardly any is ever executed.
_CELERYS = "celery."
_DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class TaskMetrics:
    """Made once for each app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "gateway_worker_tasks", "Tasks that have ended here.", ["task", "outcome"], registry=registry
        )
        self._duration = Histogram(
            "gateway_worker_task_duration_seconds",
            "From the beginning of a task until its end was known.",
            ["task"],
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "gateway_worker_messages_refused", "Messages that no task takes.", ["reason"], registry=registry
        )
        self._concurrency = Gauge("gateway_worker_concurrency", "Tasks executed at once at most.", registry=registry)
        active = Gauge("gateway_worker_tasks_active", "Tasks being executed.", registry=registry)
        active.set_function(lambda: _held(begun=True))
        reserved = Gauge("gateway_worker_tasks_reserved", "Tasks fetched and not begun.", registry=registry)
        reserved.set_function(lambda: _held(begun=False))

    def show_zeros(self, tasks: Iterable[str], outcomes: Iterable[str]) -> None:
        """A rate can be taken only from a series that was there before it moved."""
        for task in (name for name in tasks if not name.startswith(_CELERYS)):
            self._duration.labels(task)
            for outcome in outcomes:
                self._ended.labels(task, outcome)

    def watch(self, concurrency: int) -> None:
        """Tell how many tasks the worker executes at once, and count the messages that it can do nothing with."""
        self._concurrency.set(concurrency)
        for reason, signal in {"unknown_task": signals.task_unknown, "not_understood": signals.task_rejected}.items():
            counter = self._refused.labels(reason)
            signal.connect(_counting(counter), weak=False, dispatch_uid=f"workerapp.metrics.{reason}")

    def count(self, task: str, outcome: str, seconds: float | None) -> None:
        """A task has ended; None: it had not begun."""
        self._ended.labels(task, outcome).inc()
        if seconds is not None:
            self._duration.labels(task).observe(seconds)


def _counting(counter: Counter) -> Any:
    return lambda **_: counter.inc()


def _held(*, begun: bool) -> int:
    """Looked at from another thread: the list is made in one step."""
    return sum((request.time_start is not None) is begun for request in list(state.requests.values()))
