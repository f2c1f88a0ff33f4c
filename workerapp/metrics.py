"""What a worker's main process tells Prometheus, and the port where it does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, start_http_server

from workerapp.contract.distribution import installed_version
from workerapp.execution.own_sockets import keep_from_children
from workerapp.serving import ServingCheck
from workerapp.webhooks.metrics import WebhookMetrics

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

logger = logging.getLogger(__name__)


class WorkerMetrics:
    """Made once for each app, with a registry of its own: several in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = WebhookMetrics(self.registry)
        build = Gauge("gateway_worker_info", "1, with the version.", ["version"], registry=self.registry)
        build.labels(installed_version()).set(1)
        ProcessCollector(registry=self.registry)


class MetricsStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Serves `/metrics` while the worker runs; one that cannot have its port works on without."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._server: WSGIServer | None = None

    def include_if(self, worker: Any) -> bool:
        return bool(worker.app.settings.worker_metrics_port)

    def start(self, worker: Any) -> None:
        settings = worker.app.settings
        where = {"host": settings.worker_metrics_host, "port": settings.worker_metrics_port}
        try:
            self._server, _ = start_http_server(where["port"], where["host"], worker.app.metrics.registry)
        except OSError as error:
            logger.error("worker_metrics_unavailable", extra=where | {"reason": str(error)})  # noqa: TRY400 - no bug
            return
        keep_from_children(self._server.socket)

    def stop(self, worker: Any) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    terminate = stop
