"""What a worker tells Prometheus: what its main process knows, and what those of its pool count on the board."""

from __future__ import annotations

from typing import Any

from celery import bootsteps, signals
from celery.utils.log import current_process_index
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from workerapp.backlog_metrics import BacklogMetrics
from workerapp.board import BOARD
from workerapp.contract.distribution import installed_version
from workerapp.counted_requests import count_requests
from workerapp.execution.measures import MEASURES
from workerapp.relay_metrics import RelayMetrics
from workerapp.serving import ServingCheck
from workerapp.sweep_metrics import SweepMetrics
from workerapp.task_metrics import TaskMetrics
from workerapp.webhooks.metrics import WebhookMetrics


class WorkerMetrics:
    """Made once for each app, with a registry of its own; what is on the board all of a process have in common."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tasks = TaskMetrics(self.registry)
        self.sweeps = SweepMetrics(self.registry)
        self.relay = RelayMetrics(self.registry)
        self.webhooks = WebhookMetrics(self.registry)
        self.backlog = BacklogMetrics()
        self.registry.register(self.backlog)
        for measure in MEASURES:
            self.registry.register(measure)
        self.reported = Gauge(
            "gateway_worker_heartbeat_timestamp_seconds",
            "When this worker last wrote its row; 0 if never.",
            registry=self.registry,
        )
        self.healthy = Gauge("gateway_worker_healthy", "Whether `/healthz` answers 200.", registry=self.registry)
        build = Gauge("gateway_worker_info", "1, with the version.", ["version"], registry=self.registry)
        build.labels(installed_version()).set(1)
        ProcessCollector(registry=self.registry)


class MetricsStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Lets everything be counted, where somebody may ask for it."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        """Before the pool forks."""
        signals.worker_process_init.connect(_take_row, weak=False, dispatch_uid="workerapp.metrics.row")

    def include_if(self, worker: Any) -> bool:
        return bool(worker.app.settings.worker_metrics_port)

    def start(self, worker: Any) -> None:
        metrics = worker.app.metrics.tasks
        metrics.watch(worker.concurrency)
        count_requests(worker.app, metrics)
        worker.app.metrics.backlog.consumed = tuple(sorted(worker.app.amqp.queues.consume_from))


def _take_row(**_: Any) -> None:
    """In a process of the pool: the one before it in the same place is gone. The first row is the main process's."""
    BOARD.take_row(current_process_index())
