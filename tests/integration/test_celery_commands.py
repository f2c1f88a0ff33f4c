"""Celery's own commands, as operators type them, against a real worker over the Postgres broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.postgres import TestDatabase
from tests.records import add_configuration, add_organization, connect, plan
from tests.stack.process import ROOT, Process, _clean_environment
from tests.stack.services import Worker, shared_environment
from tests.waiting import ended_task, until
from workerapp.app import WorkerApp, make_app
from workerapp.contract.caller import ORGANIZATION_HEADER
from workerapp.settings import WorkerSettings

PATIENCE = 60


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with Worker(module_database) as running:
        yield running


@pytest.fixture
def admin(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(module_database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@pytest.fixture
def app(module_database: TestDatabase) -> Iterator[WorkerApp]:
    app = make_app(WorkerSettings(database_url=module_database.url))
    app.set_current()
    yield app
    app.close()
    app.database.engine.dispose()


def celery(database: TestDatabase, *arguments: str) -> str:
    """What `celery -A workerapp …` prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workerapp", *arguments],
        cwd=ROOT,
        env=_clean_environment() | shared_environment(database),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def send(app: WorkerApp, organization_id: UUID, name: str, *arguments: Any, **options: Any) -> str:
    headers = {ORGANIZATION_HEADER: str(organization_id)}
    return str(app.send_task(name, arguments, headers=headers, **options).id)


def begun(admin: psycopg.Connection, task_id: str) -> str:
    until(lambda: admin.execute("SELECT state FROM task WHERE id = %s", (task_id,)).fetchone() == ("STARTED",))
    return task_id


def test_ping_and_active_are_answered(
    module_database: TestDatabase, worker: Worker, app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    assert json.loads(celery(module_database, "inspect", "ping", "--json", "-t", "5", "-d", worker.name)) == {
        worker.name: {"ok": "pong"}
    }
    task_id = begun(admin, send(app, organization_id, "tests.hold", 60))
    active = json.loads(celery(module_database, "inspect", "active", "--json", "-t", "5", "-d", worker.name))
    assert [task["id"] for task in active[worker.name]] == [task_id]
    celery(module_database, "control", "terminate", "SIGKILL", task_id)
    assert ended_task(admin, task_id) == "REVOKED"
    assert ended_task(admin, send(app, organization_id, "echo", "after")) == "SUCCESS"


def test_a_task_that_waits_is_revoked_before_any_worker_has_it(
    module_database: TestDatabase, worker: Worker, app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    task_id = send(app, organization_id, "echo", "x", countdown=3600)
    celery(module_database, "control", "revoke", task_id)
    assert ended_task(admin, task_id) == "REVOKED"
    assert admin.execute("SELECT FROM broker_message WHERE task_id = %s", (task_id,)).fetchall() == []


def test_a_task_that_runs_is_not_stopped_by_a_mere_revocation(
    module_database: TestDatabase, worker: Worker, app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    task_id = begun(admin, send(app, organization_id, "tests.hold", 3))
    celery(module_database, "control", "revoke", task_id)
    assert ended_task(admin, task_id) == "SUCCESS"


def test_revoking_the_task_of_a_run_cancels_the_run(
    module_database: TestDatabase, worker: Worker, organization_id: UUID, admin: psycopg.Connection
) -> None:
    """Also when it has long been replaced by lanes, and no worker knows its id."""
    run = plan(admin, organization_id, 3, deadline_at="infinity")
    admin.execute(
        "INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id, lease_until)"
        " VALUES (%s, 0, %s, 1, 'lane', now() + interval '1 minute')",
        (run.id, organization_id),
    )
    admin.execute("UPDATE task SET state = 'STARTED' WHERE id = %s", (run.task_id,))
    celery(module_database, "control", "revoke", run.task_id)
    assert ended_task(admin, run.task_id) == "REVOKED"
    assert admin.execute("SELECT status, cancelled FROM test_run WHERE id = %s", (run.id,)).fetchone() == (
        "cancelled",
        3,
    )


def test_the_command_purge_ends_what_waits(
    module_database: TestDatabase, app: WorkerApp, admin: psycopg.Connection
) -> None:
    """Nobody works on it: the queue is one of its own."""
    organization_id = add_organization(admin)
    task_ids = [send(app, organization_id, "echo", "x", queue="unattended") for _ in range(3)]
    printed = celery(module_database, "purge", "--force", "--queues", "unattended")
    assert "Purged 3 messages" in printed
    assert {ended_task(admin, task_id) for task_id in task_ids} == {"REVOKED"}


def test_result_objects_can_revoke(
    worker: Worker, app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    task_id = begun(admin, send(app, organization_id, "tests.hold", 60))
    app.AsyncResult(task_id).revoke(terminate=True, signal="SIGKILL")
    assert ended_task(admin, task_id) == "REVOKED"


def test_events_are_told_once_they_are_asked_for(
    module_database: TestDatabase, worker: Worker, app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    watching = ["-m", "celery", "-A", "workerapp", "events", "--dump"]
    with Process("celery events", watching, shared_environment(module_database)) as events:
        until(lambda: worker.name in celery(module_database, "control", "enable_events"))
        events.wait_for(rf"{worker.name}.* heartbeat: ")
        task_id = send(app, organization_id, "echo", "x")
        for kind in ("received", "started", "succeeded"):
            events.wait_for(rf"{kind}.*{task_id}")


def test_a_run_whose_task_is_revoked_while_it_waits_never_begins(
    module_database: TestDatabase, worker: Worker, app: WorkerApp, admin: psycopg.Connection
) -> None:
    organization_id = add_organization(admin)
    configuration_id = add_configuration(admin, organization_id, tests=[{"input": "x"}])
    (run_id,) = admin.execute(
        "INSERT INTO test_run (organization_id, test_configuration_id, task_id, deadline_at)"
        " VALUES (%s, %s, gen_random_uuid()::text, 'infinity') RETURNING id",
        (organization_id, configuration_id),
    ).fetchone() or (None,)
    ((task_id,),) = admin.execute("SELECT task_id FROM test_run WHERE id = %s", (run_id,))
    headers = {ORGANIZATION_HEADER: str(organization_id), "test_run_id": str(run_id)}
    app.send_task(
        "execute_test_configuration",
        (str(configuration_id), str(run_id)),
        task_id=task_id,
        headers=headers,
        countdown=60,
    )
    celery(module_database, "control", "revoke", task_id)
    assert ended_task(admin, task_id) == "REVOKED"
    assert admin.execute("SELECT status, planned FROM test_run WHERE id = %s", (run_id,)).fetchone() == (
        "cancelled",
        None,
    )
