"""Repair: settles runs that are due and revives those whose lanes died. One sweep at a time in the whole deployment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from celery import bootsteps

from workerapp.base import BaseTask, acting_for
from workerapp.contract import tasks
from workerapp.contract.caller import ORGANIZATION_HEADER
from workerapp.contract.events import EVENT_CHANNEL, QUEUE_CHANNEL
from workerapp.db.connection import ROLE
from workerapp.db.statements import clause
from workerapp.serving import ServingCheck

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

#: Whoever holds this advisory lock sweeps; the lock ends with its connection, so a dead sweeper is replaced.
SWEEP_LOCK = 7_402_118_555_002


class SweeperStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Runs the sweeper in the main process of every worker."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._sweeper: Sweeper | None = None

    def start(self, worker: Any) -> None:
        self._sweeper = Sweeper(worker.app)
        self._sweeper.start()

    def stop(self, worker: Any) -> None:
        if self._sweeper is not None:
            self._sweeper.stop()

    terminate = stop


class Sweeper(threading.Thread):
    """Sweeps until stopped, pausing between sweeps; a sweep that fails is tried again."""

    def __init__(self, app: WorkerApp) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._app = app
        self._settings = app.settings.sweeper
        self._stopping = threading.Event()

    def run(self) -> None:
        """Sweep now and then."""
        while not self._stopping.is_set():
            try:
                self._hold_the_lock()
            except psycopg.Error as error:
                logger.warning("sweeper_without_database", extra={"error": type(error).__name__})
            self._stopping.wait(self._settings.pause)

    def stop(self) -> None:
        """End after the sweep that is under way."""
        self._stopping.set()

    def _hold_the_lock(self) -> None:
        conninfo = self._app.settings.database.conninfo(role=ROLE, application_name="sweeper")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not self._stopping.is_set():
                row = connection.execute("SELECT pg_try_advisory_lock(%s)", (SWEEP_LOCK,)).fetchone()
                if row is not None and row[0]:
                    sweep(self._app, connection)
                self._stopping.wait(self._settings.pause)


def sweep(app: WorkerApp, connection: psycopg.Connection) -> int:
    """Help every run that needs it, and remove the queues of dead nodes; returns how many runs were helped."""
    settings = app.settings.sweeper
    connection.execute("SELECT broker_sweep(make_interval(secs => %s))", (settings.dead_node_after,))
    rows = connection.execute(
        "SELECT organization_id, test_run_id, need FROM runs_in_need(make_interval(secs => %s), %s)",
        (settings.grace, settings.batch),
    ).fetchall()
    for organization_id, test_run_id, need in rows:
        _help(app, organization_id, test_run_id, need)
    if rows:
        connection.execute("SELECT pg_notify(%s, ''), pg_notify(%s, '')", (EVENT_CHANNEL, QUEUE_CHANNEL))
    return len(rows)


def _help(app: WorkerApp, organization_id: UUID, test_run_id: UUID, need: str) -> None:
    fields = {"organization_id": str(organization_id), "test_run_id": str(test_run_id)}
    action: Callable[[WorkerApp, UUID, UUID], None] = _revive if need == "revive" else _settle
    try:
        action(app, organization_id, test_run_id)
    except Exception:
        # The next run may be healthier, and this one is met again at the next sweep.
        logger.exception("run_not_repaired", extra=fields)
    else:
        logger.warning("run_revived" if need == "revive" else "run_settled_late", extra=fields)


def _settle(app: WorkerApp, organization_id: UUID, test_run_id: UUID) -> None:
    with app.database.session(organization_id) as db:
        db.execute(clause("runs", "settle"), {"run": test_run_id})


def _revive(app: WorkerApp, organization_id: UUID, test_run_id: UUID) -> None:
    from workerapp.tasks.test_run import revive  # noqa: PLC0415 - tasks are imported when the worker starts

    task: BaseTask = app.tasks[tasks.COLLECT_RESULTS]
    request = type("Request", (), {ORGANIZATION_HEADER: str(organization_id)})
    token = acting_for.set(request)
    try:
        with app.database.session(organization_id) as db:
            revive(task, db, test_run_id)
    finally:
        acting_for.reset(token)
