"""Retention: what is finished goes when it is old, in batches; what is not finished stays, however old it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.postgres import TestDatabase
from tests.records import PlannedRun, add_organization, add_task, add_webhook_endpoint, connect, plan
from workerapp.app import WorkerApp, make_app
from workerapp.db.connection import ROLE
from workerapp.retention import RETENTION
from workerapp.settings import WorkerSettings
from workerapp.sweeper import Sweep

OLD = "now() - interval '40 days'"


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@pytest.fixture
def app(database: TestDatabase) -> Iterator[WorkerApp]:
    app = make_app(WorkerSettings(database_url=database.url, prune_batch=2))
    yield app
    app.close()


def prune(app: WorkerApp) -> dict[str, int]:
    """Sweep once; how much each step removed, where it removed anything."""
    with connect(app.settings.database_url, ROLE) as connection:
        Sweep(app, connection, "here@test").run(RETENTION)
    with connect(app.settings.database_url, "gateway_rw") as connection:
        return dict(connection.execute("SELECT step, done FROM admin_sweeper() WHERE done > 0").fetchall())


def count(admin: psycopg.Connection, table: str) -> int:
    row = admin.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def age(admin: psycopg.Connection, table: str, column: str, where: str = "true") -> None:
    admin.execute(f"UPDATE {table} SET {column} = {OLD} WHERE {where}".encode())


def finished_run(admin: psycopg.Connection, organization_id: UUID, tests: int = 5) -> PlannedRun:
    run = plan(admin, organization_id, tests)
    admin.execute("UPDATE test_result SET status = 'pass' WHERE test_run_id = %s", (run.id,))
    admin.execute("SELECT settle_run(%s)", (run.id,))
    return run


def test_old_runs_go_with_all_that_belongs_to_them(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    old, young = finished_run(admin, organization_id), finished_run(admin, organization_id)
    age(admin, "test_run", "finished_at", f"id = '{old.id}'")
    age(admin, "task", "finished_at", f"test_run_id = '{old.id}'")
    assert prune(app) == {"prune_results": 5, "prune_runs": 1, "prune_finished_tasks": 1}
    assert admin.execute("SELECT id FROM test_run").fetchall() == [(young.id,)]
    assert admin.execute("SELECT DISTINCT test_run_id FROM test_result").fetchall() == [(young.id,)]


def test_a_run_that_has_not_ended_keeps_everything(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    run = plan(admin, organization_id, 3)
    admin.execute("UPDATE test_result SET status = 'pass' WHERE position = 0")
    lane = add_task(admin, organization_id, test_run_id=run.id, state="SUCCESS")
    age(admin, "task", "finished_at", f"id = '{lane}'")
    age(admin, "test_run", "created_at")
    age(admin, "task_event", "at")
    admin.execute("DELETE FROM task_event WHERE subject_id = %s", (lane,))
    assert prune(app) == {}
    assert (count(admin, "test_result"), count(admin, "task")) == (3, 2)


def test_a_run_that_repeats_a_removed_one_stays(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    old, young = finished_run(admin, organization_id), finished_run(admin, organization_id)
    admin.execute("UPDATE test_run SET rerun_of = %s WHERE id = %s", (old.id, young.id))
    age(admin, "test_run", "finished_at", f"id = '{old.id}'")
    prune(app)
    assert admin.execute("SELECT id, rerun_of FROM test_run").fetchall() == [(young.id, None)]


def test_old_events_of_what_has_ended_go(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    waiting = [add_task(admin, organization_id) for _ in range(5)]
    ended = [add_task(admin, organization_id) for _ in range(5)]
    admin.execute("UPDATE task SET state = 'SUCCESS' WHERE id = ANY (%s)", (ended,))
    age(admin, "task_event", "at")
    young = add_task(admin, organization_id, state="SUCCESS")
    assert prune(app) == {"prune_events": 10}
    left = {row[0] for row in admin.execute("SELECT subject_id FROM task_event").fetchall()}
    assert left == {*waiting, young}


def test_tasks_that_have_not_ended_stay(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    waiting = add_task(admin, organization_id)
    for _ in range(5):
        add_task(admin, organization_id, state="SUCCESS")
    age(admin, "task", "created_at")
    age(admin, "task", "finished_at", "state = 'SUCCESS'")
    assert prune(app) == {"prune_finished_tasks": 5}
    assert admin.execute("SELECT id FROM task").fetchall() == [(waiting,)]


def test_chords_go_that_fired_or_that_nobody_will_return_to(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    for group_id in ("fired", "abandoned", "waiting", "young"):
        admin.execute("INSERT INTO chord (group_id, body, size) VALUES (%s, '{}', 2)", (group_id,))
        admin.execute("INSERT INTO chord_part VALUES (%s, 'x', 0, 'SUCCESS', NULL)", (group_id,))
    add_task(admin, organization_id, group_id="waiting")
    age(admin, "chord", "created_at", "group_id <> 'young'")
    age(admin, "chord", "fired_at", "group_id = 'fired'")
    assert prune(app) == {"prune_finished_chords": 2}
    assert admin.execute("SELECT group_id FROM chord ORDER BY 1").fetchall() == [("waiting",), ("young",)]
    assert count(admin, "chord_part") == 2


def test_deliveries_go_when_they_have_ended(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    for state in ("delivered", "exhausted", "skipped", "pending"):
        admin.execute(
            "INSERT INTO webhook_delivery"
            " (organization_id, webhook_endpoint_id, event_type, subject_id, payload, status, finished_at)"
            " VALUES (%s, %s, 'test_run.completed', 'x', '{}', %s, %s)",
            (organization_id, endpoint_id, state, None if state == "pending" else datetime.now(UTC)),
        )
    age(admin, "webhook_delivery", "created_at")
    age(admin, "webhook_delivery", "finished_at", "status <> 'pending'")
    assert prune(app) == {"prune_deliveries": 3}
    assert admin.execute("SELECT status FROM webhook_delivery").fetchall() == [("pending",)]


def test_old_idempotency_keys_go(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    for _ in range(5):
        admin.execute(
            "INSERT INTO idempotency_key (organization_id, key, fingerprint, status, body)"
            " VALUES (%s, %s, '', 202, '{}')",
            (organization_id, str(uuid4())),
        )
    age(admin, "idempotency_key", "created_at", "key <> (SELECT max(key) FROM idempotency_key)")
    assert prune(app) == {"prune_idempotency_keys": 4}
    assert count(admin, "idempotency_key") == 1


def test_old_entries_of_the_audit_log_go_whosever_they_are(app: WorkerApp, admin: Any, organization_id: UUID) -> None:
    for age_in_days in (364, 366, 400, 500):
        for owner in (organization_id, None):
            admin.execute(
                "INSERT INTO audit_event (organization_id, at, actor, action, resource_type)"
                " VALUES (%s, now() - make_interval(days => %s), 'operator', 'queue.purge', 'queue')",
                (owner, age_in_days),
            )
    assert prune(app) == {"prune_audit_events": 6}
    assert count(admin, "audit_event") == 2
