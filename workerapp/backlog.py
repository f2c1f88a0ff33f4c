"""What waits in the whole database, looked at now and then by every worker that somebody may ask for its metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from celery import bootsteps
from psycopg.rows import class_row

from workerapp.db.connection import Connection, connect
from workerapp.serving import ServingCheck

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

QUEUES = "SELECT queue, ready, delayed, leased, published, ready_since FROM queue_backlog()"
OPEN = "SELECT tasks, runs, tests, overdue_since, workers, swept_at FROM open_work(make_interval(secs => %s))"
#: Between two looks, at least and at most.
PAUSE, LONGEST_PAUSE = 5.0, 300.0
#: A look takes no more than this part of the time: a long one is not followed so soon by another.
SHARE = 0.02
#: A worker that has not reported for so long is not there.
DEAD_AFTER_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """How many of its messages are in which state, and since when the oldest could have been begun."""

    queue: str
    ready: int
    delayed: int
    leased: int
    published: int
    ready_since: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenWork:
    """What has not ended, since when the oldest run should have, who is at work, and when somebody last swept."""

    tasks: int
    runs: int
    tests: int
    overdue_since: datetime | None
    workers: int
    swept_at: datetime | None


def read_queues(connection: Connection) -> list[Queue]:
    """Those of tasks that have messages."""
    with connection.cursor(row_factory=class_row(Queue)) as cursor:
        return cursor.execute(QUEUES).fetchall()


def read_open_work(connection: Connection) -> OpenWork:
    """Of all organizations."""
    with connection.cursor(row_factory=class_row(OpenWork)) as cursor:
        (row,) = cursor.execute(OPEN, (DEAD_AFTER_SECONDS,))
        return row


class BacklogStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Looks while the worker runs."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._looker: Looker | None = None

    def include_if(self, worker: Any) -> bool:
        return bool(worker.app.settings.worker_metrics_port)

    def start(self, worker: Any) -> None:
        self._looker = Looker(worker.app)
        self._looker.start()

    def stop(self, worker: Any) -> None:
        if self._looker is not None:
            self._looker.stop()

    terminate = stop


class Looker(threading.Thread):
    """Looks until stopped, on a connection of its own; while the database is away it tells what it has seen last."""

    def __init__(self, app: WorkerApp) -> None:
        super().__init__(name="backlog", daemon=True)
        self._address, self._metrics = app.settings.database, app.metrics.backlog
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look, and after any trouble connect anew."""
        while not self._stopping.is_set():
            try:
                with connect(self._address, application_name="backlog") as connection:
                    self._look(connection)
            except psycopg.Error as error:
                logger.debug("backlog_not_read", extra={"error": type(error).__name__})
            self._stopping.wait(PAUSE)

    def stop(self) -> None:
        """End after the look that is under way."""
        self._stopping.set()

    def _look(self, connection: Connection) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(pause_after(lambda: self._read(connection)))

    def _read(self, connection: Connection) -> None:
        self._metrics.tell(read_queues(connection), read_open_work(connection))


def pause_after(look: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> float:
    """Look, and tell how long to wait before the next time."""
    began = clock()
    look()
    return min(max(PAUSE, (clock() - began) / SHARE), LONGEST_PAUSE)
