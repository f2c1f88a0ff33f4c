"""The sweeper: runs the steps of repair and retention now and then, and remembers what each of them did.

Every worker has one. An advisory lock lets one of them sweep at a time; it ends with its connection, so that a dead
sweeper is replaced by the next worker that tries.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
from celery import bootsteps

from workerapp.contract.events import EVENT_CHANNEL, QUEUE_CHANNEL
from workerapp.db.connection import Connection, connect
from workerapp.repair import REPAIR, Step
from workerapp.retention import RETENTION
from workerapp.serving import ServingCheck

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

SWEEP_LOCK = 7_402_118_555_002
RECORD = "SELECT record_sweep(%s, %s, %s, %s, %s)"
NOTIFY = "SELECT pg_notify(%s, ''), pg_notify(%s, '')"


class SweeperStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Runs the sweeper in the main process of every worker."""

    requires = (ServingCheck,)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._sweeper: Sweeper | None = None

    def start(self, worker: Any) -> None:
        self._sweeper = Sweeper(worker.app, worker.hostname)
        self._sweeper.start()

    def stop(self, worker: Any) -> None:
        if self._sweeper is not None:
            self._sweeper.stop()

    terminate = stop


class Sweeper(threading.Thread):
    """Sweeps until stopped, pausing between sweeps; a sweep that fails is tried again."""

    def __init__(self, app: WorkerApp, node: str) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._app = app
        self._node = node
        self._pause = app.settings.sweeper.pause
        self._stopping = threading.Event()

    def run(self) -> None:
        """Sweep now and then."""
        while not self._stopping.is_set():
            try:
                with connect(self._app.settings.database, application_name="sweeper") as connection:
                    self._work(connection)
            except psycopg.Error as error:
                logger.warning("sweeper_without_database", extra={"error": type(error).__name__})
            self._stopping.wait(self._pause)

    def stop(self) -> None:
        """End after the sweep that is under way."""
        self._stopping.set()

    def _work(self, connection: Connection) -> None:
        sweep = Sweep(self._app, connection, self._node)
        while not self._stopping.is_set():
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (SWEEP_LOCK,)).fetchone()
            if row is not None and row[0]:
                sweep.run(REPAIR)
                sweep.run_sometimes(RETENTION, self._app.settings.retention.pause)
            self._stopping.wait(self._pause)


class Sweep:
    """Runs steps on one connection; a step that fails holds up no other."""

    def __init__(self, app: WorkerApp, connection: Connection, node: str) -> None:
        self._app = app
        self._connection = connection
        self._node = node
        self._next_time = 0.0
        for step in (*REPAIR, *RETENTION):
            app.metrics.sweeps.show_zeros(step.name)

    def run(self, steps: tuple[Step, ...]) -> int:
        """Run the steps in their order; returns how much there was to do."""
        done = sum(self._step(step) for step in steps)
        if done:
            self._connection.execute(NOTIFY, (EVENT_CHANNEL, QUEUE_CHANNEL))
        return done

    def run_sometimes(self, steps: tuple[Step, ...], pause: float) -> None:
        """Run the steps unless they ran less than `pause` seconds ago."""
        if time.monotonic() >= self._next_time:
            self._next_time = time.monotonic() + pause
            self.run(steps)

    def _step(self, step: Step) -> int:
        began = time.monotonic()
        done, error = 0, None
        try:
            done = step.work(self._app, self._connection)
        except Exception as failure:
            if self._connection.closed:
                raise
            error = f"{type(failure).__name__}: {failure}".strip()
            logger.exception("sweep_step_failed", extra={"step": step.name})
        seconds = time.monotonic() - began
        if done:
            fields = {"step": step.name, "done": done, "seconds": round(seconds, 3), "node": self._node}
            logger.info("sweep_step_done", extra=fields)
        self._app.metrics.sweeps.count(step.name, done=done, seconds=seconds, failed=error is not None)
        self._connection.execute(RECORD, (step.name, self._node, done, seconds, error))
        return done
