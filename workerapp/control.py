"""Control through Postgres: every worker reports what it holds, learns what it has to stop, and stops it.

Celery's own remote control works beside it; its `revoke` and `terminate` write to the database as well, so that they
hold for what no worker has yet, and for runs, which no single process executes.
"""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from celery import bootsteps
from celery.utils.functional import maybe_list
from celery.worker import control as remote
from celery.worker import state

from workerapp.contract.events import CONTROL_CHANNEL, EVENT_CHANNEL
from workerapp.db.connection import LOST, Connection, connect
from workerapp.heartbeat import Heartbeat
from workerapp.serving import ServingCheck
from workerapp.task_types import TypeReports

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

#: A task may ignore any other signal.
SIGNAL = "SIGKILL"
#: How long the end of the process waits for the last word to the database.
FAREWELL_SECONDS = 1.0
LISTEN = f"LISTEN {CONTROL_CHANNEL}"
STATEMENT_TIMEOUT = "SELECT set_config('statement_timeout', %s, false)"
NOTIFY = "SELECT pg_notify(%s, ''), pg_notify(%s, '')"


class ControlStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Runs control in the main process of every worker, until it ends: tasks can be stopped during a shutdown too."""

    requires = (ServingCheck, "celery.worker.components:Hub")

    def __init__(self, worker: Any, **_: Any) -> None:
        _keep_revocations()

    def start(self, worker: Any) -> None:
        control = Control(worker)
        control.start()
        atexit.register(control.close)

    def close(self, worker: Any) -> None:
        """The worker begins to stop."""
        worker.app.pulse.end()


class Control(threading.Thread):
    """Reports on every hint and every few seconds; while the database is away it tries again."""

    def __init__(self, worker: Any) -> None:
        super().__init__(name="control", daemon=True)
        self._worker = worker
        self._heartbeat = Heartbeat(worker)
        self._types = TypeReports(worker.app)
        self._settings = worker.app.settings
        self._pulse, self._metrics = worker.app.pulse, worker.app.metrics
        self._stopping = threading.Event()
        #: What has been told to stop; what had not begun then is stopped when it begins.
        self._told: WeakSet[Any] = WeakSet()

    def run(self) -> None:
        """Work, and after any trouble connect anew."""
        failing = False
        while not self._stopping.is_set():
            try:
                with connect(self._settings.database, application_name="gateway-control") as connection:
                    failing = False
                    self._serve(connection)
            except LOST as error:
                logger.log(logging.DEBUG if failing else logging.WARNING, "control_interrupted", extra=_reason(error))
                failing = True
                self._pulse.lose()
            except Exception:
                logger.exception("control_failed")
                self._pulse.lose()
            self._stopping.wait(self._settings.report_seconds)

    def close(self) -> None:
        """At the end of the process: the row goes with it."""
        self._stopping.set()
        try:
            with connect(
                self._settings.database, application_name="gateway-control", connect_timeout=FAREWELL_SECONDS
            ) as connection:
                self._heartbeat.leave(connection)
        except LOST as error:
            logger.debug("control_not_closed", extra=_reason(error))

    def _serve(self, connection: Connection) -> None:
        """Listen first, then look: nothing is missed."""
        connection.execute(LISTEN)
        # Whoever waits for a lock does not wait for ever, and can say so.
        connection.execute(STATEMENT_TIMEOUT, (f"{self._settings.worker_live_seconds / 4:g}s",))
        while not self._stopping.is_set():
            self._types.report(connection)
            for task_id in self._heartbeat.report(connection):
                self._in_main_loop(task_id)
            self._pulse.report()
            self._metrics.reported.set_to_current_time()
            for _ in connection.notifies(timeout=self._settings.report_seconds, stop_after=1):
                pass

    def _in_main_loop(self, task_id: str) -> None:
        """Channels of RabbitMQ are not made for several threads, so tasks are stopped where they are received."""
        hub = self._worker.hub
        if hub is None or self._worker.blueprint.state != bootsteps.RUN:
            self._stop_task(task_id)
        else:
            hub.call_soon(self._stop_task, task_id)

    def _stop_task(self, task_id: str) -> None:
        request = state.requests.get(task_id)
        if request is None or request in self._told:
            return
        self._told.add(request)
        fields = {"task_id": task_id, "task": request.name}
        try:
            request.terminate(self._worker.pool, signal=SIGNAL)
        except NotImplementedError:
            logger.warning("task_not_stopped", extra=fields | {"reason": "this pool cannot stop a task"})
        except Exception:
            logger.exception("task_not_stopped", extra=fields)
        else:
            logger.info("task_stopped", extra=fields | {"began": request.time_start is not None})


def _reason(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "reason": str(error).strip()}


def _keep_revocations() -> None:
    """Take the places of Celery's `revoke` and `terminate` in this process."""
    one_or_more = "[id1 [id2 [... [idN]]]]"
    remote.control_command(variadic="task_id", signature=one_or_more)(revoke)
    remote.control_command(variadic="task_id", args=[("signal", str)], signature=f"<signal> {one_or_more}")(terminate)


def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **options: Any) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
    """Revoke task by task id (or list of ids)."""
    ids = [str(one) for one in maybe_list(task_id) or []]
    try:
        _end_tasks(state.app, ids, running=terminate)
    except LOST as error:
        # Celery's own revocation, in this worker's memory, is better than none.
        logger.warning("revocation_not_stored", extra={"task_ids": ids, **_reason(error)})
    return remote.revoke(state, ids, terminate=terminate, signal=signal, **options)


def terminate(state: Any, signal: str, task_id: Any, **_: Any) -> Any:
    """Terminate task by task id (or list of ids)."""
    return revoke(state, task_id, terminate=True, signal=signal)


def _end_tasks(app: WorkerApp, ids: list[str], *, running: bool) -> None:
    with connect(app.settings.database, application_name="gateway-control") as connection:
        for task_id in ids:
            connection.execute("SELECT admin_end_task(%s, %s)", (task_id, running))
        connection.execute(NOTIFY, (CONTROL_CHANNEL, EVENT_CHANNEL))
