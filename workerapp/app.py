"""Builds the Celery apps: the worker's own, and the producer that only makes messages."""

from __future__ import annotations

import atexit
import logging
import math
from typing import Any

from celery import Celery, signals
from celery.loaders.app import AppLoader

from workerapp import broker, capture
from workerapp.base import inherit_tenant_headers
from workerapp.capture import CapturedMessage
from workerapp.contract.logs import configure_logging
from workerapp.db.engine import WorkerDatabase
from workerapp.db.settings import AMQP_SCHEMES
from workerapp.garbage import spare_the_old
from workerapp.metrics import WorkerMetrics
from workerapp.outbox import Outbox, OutboxAMQP, ask_before_execution
from workerapp.pulse import Pulse
from workerapp.redis_leases import RedisLeases
from workerapp.relay import RelayStep
from workerapp.serving import ServingCheck
from workerapp.settings import WorkerSettings
from workerapp.sweeper import SweeperStep
from workerapp.task_context import SERVICE, surround_tasks
from workerapp.task_modules import TaskModuleNotImported, task_modules
from workerapp.tracing.traces import Traces, make_traces

BACKEND = "workerapp.backend:PostgresBackend"
#: By name: only a worker needs what they import.
WORKER_STEPS = (
    "workerapp.control:ControlStep",
    "workerapp.webhooks.step:DispatcherStep",
    "workerapp.metrics:MetricsStep",
    "workerapp.backlog:BacklogStep",
    "workerapp.port:PortStep",
    "workerapp.watchdog:WatchdogStep",
    "workerapp.exit_status:ExitStatusStep",
)
CONSUMER, TICKING = "workerapp.consumer:Consumer", "workerapp.consumer:Ticking"


class Loader(AppLoader):  # type: ignore[misc]  # Celery has no types
    """Lets `db+postgresql://` mean our result backend in this app, and in no other app of the environment."""

    override_backends = {"db": BACKEND, "postgresql": BACKEND, "postgres": BACKEND}  # noqa: RUF012 - Celery's name

    def import_task_module(self, module: str) -> Any:
        """Import it, or end the process with a sentence."""
        try:
            return super().import_task_module(module)
        except ImportError as error:
            raise TaskModuleNotImported(module, error) from error


class WorkerApp(Celery):  # type: ignore[misc]  # Celery has no types
    """A Celery app that knows its settings and its database."""

    settings: WorkerSettings
    database: WorkerDatabase
    metrics: WorkerMetrics
    traces: Traces
    pulse: Pulse
    #: None where the queue is in the database.
    outbox: Outbox | None = None

    def close(self) -> None:
        """Let go of what sending tasks has opened."""
        super().close()
        if self.outbox is not None:
            self.outbox.close()


def make_app(settings: WorkerSettings) -> WorkerApp:
    """Build the worker's app; nothing is opened before a worker starts or a task is sent."""
    broker.register()
    app = WorkerApp("workerapp", loader=Loader, amqp=None if settings.broker_is_database else OutboxAMQP)
    app.settings = settings
    app.database = WorkerDatabase(settings.database)
    app.metrics = WorkerMetrics()
    app.traces = make_traces(settings.traces_endpoint, settings.traces_ratio, SERVICE)
    app.pulse = Pulse(settings.worker_live_seconds)
    app.conf.update(_configuration(settings))
    app.steps["worker"].update({ServingCheck, SweeperStep, *WORKER_STEPS})
    app.steps["consumer"].add(TICKING)
    surround_tasks()
    if not settings.broker_is_database:
        _use_outbox(app)
    if settings.traces_endpoint:
        _send_traces_at_the_end(app.traces)
    log_like_the_gateway(settings)
    inherit_tenant_headers()
    spare_the_old()
    return app


def _use_outbox(app: WorkerApp) -> None:
    """Let messages wait in the database until their work is committed, and pass them on from there."""
    app.outbox = Outbox(app.settings.database, app.settings.max_reads)
    app.steps["worker"].add(RelayStep)
    if app.settings.broker_scheme not in AMQP_SCHEMES:
        from workerapp import redis_transport  # noqa: PLC0415 - only who uses Redis has its client installed

        redis_transport.register()
        app.steps["consumer"].add(RedisLeases)
    ask_before_execution()


def _send_traces_at_the_end(traces: Traces) -> None:
    """Of the children of the pool, which end without Python's usual farewell, and of the main process."""

    def close(**_: Any) -> None:
        traces.close()

    signals.worker_process_shutdown.connect(close, weak=False)
    atexit.register(close)


def log_like_the_gateway(settings: WorkerSettings) -> None:
    """Take logging over from Celery: its own line for a success would quote the result, which is the tenant's."""

    def configure(loglevel: int | None = None, **_: Any) -> None:
        configure_logging(loglevel or settings.worker_loglevel.upper(), settings.log_format)
        logging.getLogger("celery.app.trace").setLevel(logging.WARNING)

    signals.setup_logging.connect(configure, weak=False, dispatch_uid="workerapp.logging")


def _configuration(settings: WorkerSettings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": _transport_options(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "result_backend": settings.result_backend_url,
        "result_expires": None,
        "result_max_bytes": settings.result_max_bytes,
        "result_patience": settings.result_patience_seconds,
        "progress_interval": settings.progress_interval,
        "default_organization": settings.default_organization,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "timezone": "UTC",
        "enable_utc": True,
        "task_acks_late": True,
        "task_track_started": True,
        "task_retry_on_worker_lost": True,
        "task_default_queue": settings.default_queue,
        "task_routes": {name: {"queue": queue} for name, queue in settings.task_routes.items()},
        "worker_concurrency": settings.worker_concurrency,
        "worker_prefetch_multiplier": settings.worker_prefetch_multiplier,
        "worker_max_tasks_per_child": settings.worker_max_tasks_per_child,
        "worker_consumer": CONSUMER,
        # Flower turns them on by remote control while it watches; unwatched they would double the work of a short task.
        "worker_send_task_events": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "imports": task_modules(settings),
    }


def _transport_options(settings: WorkerSettings) -> dict[str, Any]:
    if settings.broker_scheme in AMQP_SCHEMES:
        return {"confirm_publish": True}
    if not settings.broker_is_database:
        return {
            "visibility_timeout": settings.visibility_timeout,
            "unacked_restore_interval": settings.visibility_timeout / 3,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": math.ceil(settings.visibility_timeout),
            "socket_keepalive": True,
        }
    return {
        "visibility_timeout": settings.visibility_timeout,
        "max_reads": settings.max_reads,
        "polling_interval": settings.polling_interval,
    }


class Producer:
    """Makes the messages of a submission without sending them."""

    def __init__(self, default_queue: str = "celery") -> None:
        capture.register()
        self._app = Celery("producer", set_as_current=False)
        # Celery prefers CELERY_BROKER_URL and CELERY_RESULT_BACKEND of the environment to everything but these.
        self._app.backend_cls = "disabled://"
        self._app.conf.update(
            broker_read_url=capture.URL,
            broker_write_url=capture.URL,
            task_serializer="json",
            accept_content=["json"],
            timezone="UTC",
            enable_utc=True,
            task_default_queue=default_queue,
            task_publish_retry=False,
        )

    def messages(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, headers: dict[str, str], **options: Any
    ) -> list[CapturedMessage]:
        """The messages that calling task `name` would publish; `options` are those of `apply_async`."""
        with capture.capture() as captured:
            self._app.send_task(name, args, kwargs, headers=headers, argsrepr="…", kwargsrepr="…", **options)
        return captured
