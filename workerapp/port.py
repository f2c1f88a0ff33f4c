"""The worker's port: its metrics, and whether it lives and is ready. A thread of the main process answers there."""

from __future__ import annotations

import logging
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from celery import bootsteps
from prometheus_client import make_wsgi_app

from workerapp.execution.own_sockets import keep_from_children
from workerapp.pulse import Health
from workerapp.serving import ServingCheck

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

#: How long a client may take to say what it wants.
_PATIENCE_SECONDS = 10.0

Environment = dict[str, Any]
Answer = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Answers each in a thread of its own, so that a slow client holds up no probe."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Logs nothing, and does not wait for ever."""

    timeout = _PATIENCE_SECONDS

    def log_message(self, *_: Any) -> None:
        pass


class PortStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Answers until the process ends, while the worker stops too; one that cannot have its port works on without."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._server: WSGIServer | None = None

    def include_if(self, worker: Any) -> bool:
        return bool(worker.app.settings.worker_metrics_port)

    def start(self, worker: Any) -> None:
        settings, pulse = worker.app.settings, worker.app.pulse
        worker.app.metrics.healthy.set_function(lambda: float(pulse.health().is_well))
        host, port = settings.worker_metrics_host, settings.worker_metrics_port
        try:
            self._server = make_server(host, port, answers(worker.app), _Server, _Handler)
        except OSError as error:
            fields = {"host": host, "port": port, "reason": str(error)}
            logger.error("worker_metrics_unavailable", extra=fields)  # noqa: TRY400 - no bug
            return
        keep_from_children(self._server.socket)
        threading.Thread(target=self._server.serve_forever, name="port", daemon=True).start()

    def stop(self, worker: Any) -> None:
        """What it finishes now is still counted, and whoever asks is told that it stops."""

    terminate = stop

    def shut(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def answers(app: WorkerApp) -> Answer:
    """What is answered, by path; the metrics at every other path."""
    metrics: Answer = make_wsgi_app(app.metrics.registry)
    healths = {"/healthz": app.pulse.health, "/readyz": app.pulse.readiness}

    def answer(environment: Environment, begin: Callable[..., Any]) -> Iterable[bytes]:
        look = healths.get(environment["PATH_INFO"])
        return metrics(environment, begin) if look is None else _tell(look(), begin)

    return answer


def _tell(health: Health, begin: Callable[..., Any]) -> Iterable[bytes]:
    begin("200 OK" if health.is_well else "503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{health.reason}\n".encode()]
