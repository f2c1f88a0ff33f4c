"""What a worker tells of the tasks that it has: the gateway does not import them, and knows only what is told."""

from __future__ import annotations

import inspect
import logging
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from workerapp.argument_schemas import describe_arguments
from workerapp.base import SUPPLIED
from workerapp.contract.task_types import TaskType

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

REPORT = "SELECT report_task_types(%s, make_interval(secs => %s))"
#: Of Celery's own making, such as `celery.chord`.
_CELERYS = "celery."
#: So often within the time that a type is remembered.
_TIMES = 10


def registered_types(app: WorkerApp) -> list[TaskType]:
    """Every task that the app has registered, but Celery's own."""
    names = sorted(name for name in app.tasks if not name.startswith(_CELERYS))
    return [_type_of(app, name) for name in names]


def _type_of(app: WorkerApp, name: str) -> TaskType:
    task = app.tasks[name]
    # Of a class the documentation may be that of the base of all tasks, which tells nothing of this one.
    text = inspect.cleandoc(task.run.__doc__ or type(task).__dict__.get("__doc__") or "").strip()
    return TaskType(
        name=name,
        description=text.partition("\n")[0] or None,
        queue=_queue_of(app, task),
        arguments=describe_arguments(task.run, getattr(task.run, SUPPLIED, ())),
    )


def _queue_of(app: WorkerApp, task: Any) -> str | None:
    """Where Celery would send it by the task's own setting or by the app's routes; none for the default queue."""
    own = getattr(task, "queue", None)
    found = app.amqp.router.route({} if own is None else {"queue": own}, task.name)
    name = getattr(found.get("queue"), "name", None)
    return None if name == app.conf.task_default_queue else name


class TypeReports:
    """Reports the types at once, and again before they would be forgotten."""

    def __init__(self, app: WorkerApp) -> None:
        self._seconds = app.settings.task_type_seconds
        self._types = Jsonb([described.model_dump(mode="json") for described in registered_types(app)])
        self._next_time = 0.0

    def report(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Report, unless it is too early."""
        if time.monotonic() >= self._next_time:
            connection.execute(REPORT, (self._types, self._seconds))
            self._next_time = time.monotonic() + self._seconds / _TIMES
