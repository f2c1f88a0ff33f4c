"""The base of every task: retries, tenant context, sessions and a log line for each outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from celery import signals
from celery._state import get_current_task
from celery.exceptions import Ignore, Reject
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session

from workerapp.contract.caller import ORGANIZATION_HEADER, REQUEST_HEADER, USER_HEADER
from workerapp.contract.progress import ProgressInvalid
from workerapp.contract.tasks import TEST_RUN_HEADER
from workerapp.db.connection import LOST
from workerapp.progress import ProgressTask
from workerapp.task_context import carry_trace
from workerapp.verdict import obey

if TYPE_CHECKING:
    from workerapp.app import WorkerApp
    from workerapp.settings import WorkerSettings

logger = logging.getLogger(__name__)

TENANT_HEADERS = (ORGANIZATION_HEADER, USER_HEADER)
#: What a task passes on to every task it publishes.
INHERITED_HEADERS = (*TENANT_HEADERS, TEST_RUN_HEADER, REQUEST_HEADER)

#: The attribute of a task's function that names the arguments which are not the caller's to give.
SUPPLIED = "supplied_arguments"

#: For whom messages are published while no task runs in this context, as when a lost task's errbacks are called.
acting_for: ContextVar[Any] = ContextVar("acting_for", default=None)


class PermanentError(Exception):
    """A failure that trying again cannot cure: the task fails at once, without retries."""


class BaseTask(ProgressTask):
    """Retries with backoff, and knows for which organization and user it runs."""

    abstract = True
    Request = "workerapp.request:Request"
    autoretry_for = (Exception,)
    dont_autoretry_for = (PermanentError, TypeError, ProgressInvalid)
    max_retries = 3
    default_retry_delay = 1
    retry_backoff = True
    retry_backoff_max = 600
    retry_jitter = True
    track_started = True
    acks_late = True

    @contextmanager
    def get_db_session(self) -> Iterator[Session]:
        """A session whose transactions carry the tenant of the running task."""
        with self._worker_app.database.session(self.organization_id, self.user_id) as session:
            yield session

    @property
    def settings(self) -> WorkerSettings:
        """The settings of the worker that runs the task."""
        return self._worker_app.settings

    @property
    def _worker_app(self) -> WorkerApp:
        return cast("WorkerApp", self.app)

    @property
    def organization_id(self) -> str | None:
        """For which organization the running task works."""
        return getattr(self.request, ORGANIZATION_HEADER, None)

    @property
    def user_id(self) -> str | None:
        """For which user the running task works."""
        return getattr(self.request, USER_HEADER, None)

    def apply_async(
        self, args: Any = None, kwargs: dict[str, Any] | None = None, *positional: Any, **options: Any
    ) -> Any:
        """Publish the task; `organization_id` and `user_id` among its keyword arguments travel as headers."""
        kwargs = dict(kwargs or {})
        headers = dict(options.get("headers") or {})
        headers |= {name: str(kwargs.pop(name)) for name in TENANT_HEADERS if kwargs.get(name) is not None}
        if headers:
            options["headers"] = headers
        return super().apply_async(args, kwargs, *positional, **options)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Retry; when the retry cannot be published because the broker is away, the message is handed back.

        Celery itself would give such a task up.
        """
        try:
            return super().retry(*args, **options)
        except Reject as rejected:
            if isinstance(rejected.reason, (*LOST, OperationalError)):
                raise Reject(rejected.reason, requeue=True) from rejected
            raise

    def before_start(self, task_id: str, args: Any, kwargs: dict[str, Any]) -> None:
        """Make the tenant known to the task, whether it came in the headers or among the arguments."""
        obey(self.request)
        for name in TENANT_HEADERS:
            given = kwargs.pop(name, None)
            setattr(self.request, name, getattr(self.request, name, None) or given)
        self.request.started_at = monotonic()

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: dict[str, Any]) -> None:
        logger.info("task_succeeded", extra=self._log_fields(task_id))

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: dict[str, Any], einfo: Any) -> None:
        fields = self._log_fields(task_id) | {"error": type(exc).__name__, "retries": self.request.retries}
        logger.warning("task_retried", extra=fields)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: dict[str, Any], einfo: Any) -> None:
        logger.error("task_failed", extra=self._log_fields(task_id) | {"error": type(exc).__name__})

    def _log_fields(self, task_id: str) -> dict[str, Any]:
        started_at = getattr(self.request, "started_at", None)
        return {
            "task": self.name,
            "task_id": task_id,
            "organization_id": self.organization_id,
            "user_id": self.user_id,
            "runtime_seconds": None if started_at is None else round(monotonic() - started_at, 6),
        }


def with_tenant_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a bound task a session as `db`, whose transactions carry the task's tenant; callers do not see it."""

    @wraps(function)
    def wrapper(self: BaseTask, *args: Any, **kwargs: Any) -> Any:
        with self.get_db_session() as db:
            try:
                return function(self, *args, db=db, **kwargs)
            except Ignore as ended:
                # A decision, not a failure (the task may have replaced itself): what it wrote commits.
                decision = ended
        raise decision

    # Whatever wraps a function takes over its attributes, so this is found on the task too.
    setattr(wrapper, SUPPLIED, ("db",))
    return wrapper


def inherit_tenant_headers() -> None:
    """Let every message published by a running task carry its tenant, whatever kind of task it calls."""
    signals.before_task_publish.connect(_add_tenant_headers, weak=False, dispatch_uid="workerapp.tenant")


def _add_tenant_headers(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is None:
        return
    task = get_current_task()
    request = acting_for.get() or (None if task is None else task.request)
    for name in INHERITED_HEADERS:
        value = getattr(request, name, None)
        if value is not None and headers.get(name) is None:
            headers[name] = str(value)
    carry_trace(headers, request)
