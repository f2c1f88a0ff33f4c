"""What operators type to see and end work: straight to the database, as the serving login or as the owner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import add_organization, add_task, connect, plan
from tests.stack.commands import Ended, run_command


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin, "acme")


def gateway(database: TestDatabase, *arguments: str) -> Ended:
    return run_command("admin", *arguments, environment={"DATABASE_URL": database.url})


def lines(database: TestDatabase, *arguments: str) -> list[dict[str, Any]]:
    ended = gateway(database, *arguments, "--json")
    assert ended.status == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def publish(admin: psycopg.Connection, organization_id: UUID, task_id: str) -> str:
    headers = {"id": task_id, "task": "echo", "organization_id": str(organization_id)}
    admin.execute("SELECT broker_publish('celery', %s)", (Jsonb({"headers": headers, "properties": {}}),))
    return task_id


def test_workers_tasks_and_queues_are_listed(
    database: TestDatabase, admin: psycopg.Connection, organization_id: UUID
) -> None:
    assert gateway(database, "workers").stdout == "There is none.\n"
    running = add_task(admin, organization_id, state="STARTED")
    publish(admin, organization_id, "waiting")
    tasks = [{"id": running, "name": "echo", "started_at": "2026-01-01T00:00:00+00:00", "pid": 9}]
    report = "SELECT worker_report('one@test', 7, now(), 'prefork', 2, '{celery}', %s)"
    listed = []
    for what in ("workers", "tasks", "queues"):
        admin.execute(report, (Jsonb(tasks),))  # a command takes its time, and a silent worker counts as gone
        listed += lines(database, what)
    worker, task, queue = listed
    assert (worker["node"], worker["alive"], worker["active"]) == ("one@test", True, 1)
    assert (task["task_id"], task["organization"], task["node"]) == (running, "acme", "one@test")
    assert (queue["queue"], queue["ready"], queue["consumers"]) == ("celery", 1, 1)
    assert lines(database, "queues", "--by-organization") == [
        {"queue": "celery", "organization": "acme", "ready": 1, "delayed": 0, "leased": 0}
    ]
    admin.execute(report, (Jsonb(tasks),))
    assert gateway(database, "workers").stdout.splitlines()[1].startswith("one@test  yes    7    prefork")


def test_a_task_is_revoked_or_terminated(
    database: TestDatabase, admin: psycopg.Connection, organization_id: UUID
) -> None:
    waiting = publish(admin, organization_id, "waiting")
    assert gateway(database, "revoke", waiting).stdout == "The task waiting has ended: REVOKED.\n"
    running = add_task(admin, organization_id, state="STARTED")
    assert "`gateway admin terminate` stops it" in gateway(database, "revoke", running).stdout
    (ended,) = lines(database, "terminate", running)
    assert ended["status"] == "REVOKED"
    unknown = gateway(database, "terminate", "unknown")
    assert (unknown.status, unknown.stderr) == (1, "gateway admin: there is no task unknown\n")


def test_a_run_is_cancelled(database: TestDatabase, admin: psycopg.Connection, organization_id: UUID) -> None:
    run = plan(admin, organization_id, 2)
    assert gateway(database, "cancel", str(run.id)).stdout == f"The run {run.id} has ended: cancelled.\n"
    assert gateway(database, "cancel", str(organization_id)).status == 1
    assert gateway(database, "cancel", "x").status == 2


def test_a_purge_asks_for_the_name(database: TestDatabase, admin: psycopg.Connection, organization_id: UUID) -> None:
    publish(admin, organization_id, "waiting")
    for confirmation in ([], ["--confirm", "other"]):
        refused = gateway(database, "purge", "celery", *confirmation)
        assert (refused.status, "--confirm celery" in refused.stderr) == (2, True)
    assert lines(database, "purge", "celery", "--confirm", "celery") == [{"queue": "celery", "messages": 1}]
    assert admin.execute("SELECT state FROM task").fetchall() == [("REVOKED",)]


def test_an_operators_key_is_made_when_it_is_asked_for(database: TestDatabase) -> None:
    made = run_command(
        *("keys", "create", "--organization", "operators", "--scope", "admin"),
        environment={"DATABASE_URL": database.admin_url},
    )
    assert made.status == 0, made.stderr
    with connect(database.admin_url) as admin:
        assert admin.execute("SELECT scopes FROM api_key").fetchall() == [(["admin"],)]
