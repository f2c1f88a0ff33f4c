"""Progress of tasks that a real worker executes: what of it becomes rows and events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery.app.task import Context

from tests.integration.canvas import NOBODY, PATIENCE, Canvas, canvas, canvas_app, canvas_worker
from tests.postgres import TestDatabase
from tests.records import add_organization, add_task, connect
from tests.stack import canvas_tasks as tasks
from tests.stack import extra_tasks as extra
from tests.stack.services import Worker
from tests.waiting import until
from workerapp.app import WorkerApp
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.contract.progress import Progress


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    """Its interval never ends, so that what is written does not depend on how fast it is."""
    with canvas_worker(module_database, environment={"GATEWAY_PROGRESS_INTERVAL": "3600"}) as running:
        yield running


@pytest.fixture(scope="module")
def app(module_database: TestDatabase) -> Iterator[WorkerApp]:
    with canvas_app(module_database) as made:
        yield made


@pytest.fixture
def our(app: WorkerApp, module_database: TestDatabase) -> Iterator[Canvas]:
    with canvas(app, module_database) as ours:
        yield ours


def told(our: Canvas, task_id: str) -> list[tuple[str, str, Any]]:
    """Of every event the type, the state, and how much was done."""
    statement = """
        SELECT type, data->>'status', data->'progress'->'done' FROM task_event WHERE subject_id = %s ORDER BY seq
    """
    rows = our.admin.execute(statement, (task_id,)).fetchall()
    return [(kind.removeprefix("task."), state, done) for kind, state, done in rows]


def test_a_thousand_reports_are_two_events_and_the_state_stays(our: Canvas, worker: Worker) -> None:
    result = our.call(tasks.count_to.s(1000, 1000))
    assert result.get(timeout=PATIENCE) == "counted"
    assert told(our, result.id) == [
        ("pending", "PENDING", None),
        ("started", "STARTED", None),
        ("progress", "STARTED", 1),
        ("progress", "STARTED", 1000),
        ("succeeded", "SUCCESS", 1000),
    ]
    progress = our.column(result.id, "progress")
    assert progress.pop("at").endswith("Z")
    assert progress == {"done": 1000, "total": 1000, "fraction": 1, "message": "number 1000", "eta_seconds": 0}


@pytest.mark.parametrize(("fails", "ended"), [(False, ("succeeded", "SUCCESS")), (True, ("failed", "FAILURE"))])
def test_what_was_held_back_is_told_with_the_end(
    our: Canvas, worker: Worker, *, fails: bool, ended: tuple[str, str]
) -> None:
    result = our.call(tasks.count_to.s(70, 100, fails=fails))
    assert our.ended(result.id) == ended[1]
    assert told(our, result.id)[2:] == [("progress", "STARTED", 1), (*ended, 70)]
    assert our.column(result.id, "progress->>'message'") == "number 70"


def test_every_attempt_begins_anew(our: Canvas, worker: Worker) -> None:
    result = our.call(tasks.count_again.s())
    assert result.get(timeout=PATIENCE) == "counted"
    assert told(our, result.id)[1:] == [
        ("started", "STARTED", None),
        ("progress", "STARTED", 5),
        ("retry", "RETRY", 5),
        ("started", "STARTED", None),
        ("progress", "STARTED", 1),
        ("succeeded", "SUCCESS", 1),
    ]


def test_task_that_has_locked_its_own_row_does_not_wait_for_itself(our: Canvas, worker: Worker) -> None:
    result = our.call(tasks.count_in_a_session.s())
    assert result.get(timeout=PATIENCE) == "counted"
    assert told(our, result.id)[1:] == [("started", "STARTED", None), ("succeeded", "SUCCESS", 1)]


def test_task_goes_on_while_the_database_is_away(
    our: Canvas, worker: Worker, module_database: TestDatabase, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    result = our.call(tasks.count_at_gates.s(str(first), str(second)))
    until(lambda: our.column(result.id, "progress->'done'") == 1)
    with result_backend_away(our.admin, module_database):
        first.touch()
        until(Path(f"{second}.told").exists)
    worker.wait_for(f"task_progress_not_written.*{result.id}")
    second.touch()
    assert result.get(timeout=PATIENCE) == "counted"
    assert told(our, result.id)[2:] == [("progress", "STARTED", 1), ("succeeded", "SUCCESS", 2)]


@contextmanager
def result_backend_away(admin: psycopg.Connection, database: TestDatabase) -> Iterator[None]:
    """The result backends have lost their connections, and nobody gets a new one."""
    name = admin.info.dbname
    server = psycopg.conninfo.make_conninfo(database.admin_url, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as other:
        try:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
            ended = other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name = 'result-backend'",
                (name,),
            ).fetchall()
            assert len(ended) >= 1
            yield
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


def test_listeners_hear_of_it_although_the_task_has_a_session_open(our: Canvas, module_database: TestDatabase) -> None:
    """What a session holds back until its end are the hints at what it commits itself."""
    task_id = add_task(our.admin, our.organization_id)
    request = Context(id=task_id, organization_id=str(our.organization_id))
    progress = Progress(done=1, total=None, message=None, eta_seconds=None, at=datetime.now(UTC))
    with connect(module_database.admin_url) as listener, our.app.database.session(our.organization_id):
        listener.execute(f"LISTEN {EVENT_CHANNEL}".encode())
        assert our.app.backend.store_progress(request, progress)
        assert len(list(listener.notifies(timeout=PATIENCE, stop_after=1))) == 1


# ---------------------------------------------------------------- what the database refuses
def record(worker: psycopg.Connection, task_id: str, organization_id: Any, progress: str = '{"done": 1}') -> bool:
    row = worker.execute("SELECT record_task_progress(%s, %s, %s)", (task_id, organization_id, progress)).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.fixture
def worker_rw(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    """As a worker's result backend connects: acting for no organization."""
    with connect(module_database.url, "worker_rw") as connection:
        yield connection


def test_progress_is_written_only_for_a_task_of_the_organization(our: Canvas, worker_rw: psycopg.Connection) -> None:
    task_id = our.call(extra.add.s(1, 1), queue=NOBODY).id
    assert not record(worker_rw, task_id, add_organization(our.admin))
    assert not record(worker_rw, task_id, None)
    assert not record(worker_rw, "unknown", our.organization_id)
    assert our.column(task_id, "progress") is None
    assert record(worker_rw, task_id, our.organization_id)
    assert our.column(task_id, "progress") == {"done": 1}


def test_progress_of_a_task_that_has_ended_is_refused(our: Canvas, worker_rw: psycopg.Connection) -> None:
    task_id = add_task(our.admin, our.organization_id, state="REVOKED")
    assert not record(worker_rw, task_id, our.organization_id)
    assert our.events(task_id) == ["revoked"]


def test_gateway_may_not_write_progress(module_database: TestDatabase) -> None:
    with (
        connect(module_database.url, "gateway_rw") as gateway,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        record(gateway, "any", None)
