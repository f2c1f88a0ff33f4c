"""Cancelling over REST what no worker is executing: it ends in the same transaction, and nothing of it stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.definitions import add_configuration
from tests.postgres import TestDatabase
from tests.records import PlannedRun, add_task, connect, plan
from tests.rest import Gateway, Tenant, add_tenant

QUEUED = {"headers": {"task": "run_lane"}, "properties": {}}


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


def messages(admin: psycopg.Connection) -> int:
    row = admin.execute("SELECT count(*) FROM broker_message").fetchone()
    assert row is not None
    return int(row[0])


def lease_messages(admin: psycopg.Connection) -> None:
    """As a worker does that fetches them."""
    admin.execute("UPDATE broker_message SET leased_by = gen_random_uuid(), visible_at = now() + interval '1 minute'")


async def submitted(api: httpx.AsyncClient) -> dict[str, Any]:
    response = await api.post("/v1/tasks", json={"name": "echo", "args": ["x"]})
    assert response.status_code == 202
    body: dict[str, Any] = response.json()
    return body


async def executed(api: httpx.AsyncClient) -> dict[str, Any]:
    made = await add_configuration(api)
    response = await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize("place", ["queue", "worker"])
async def test_a_task_that_waits_ends_with_its_message(
    api: httpx.AsyncClient, admin: psycopg.Connection, place: str
) -> None:
    task = await submitted(api)
    if place == "worker":
        lease_messages(admin)
    answer = await api.post(task["links"]["cancel"])
    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert answer.json()["error"] == "The task was cancelled."
    assert messages(admin) == 0
    kinds = admin.execute(
        "SELECT type FROM task_event WHERE subject_id = %s ORDER BY seq", (task["task_id"],)
    ).fetchall()
    assert kinds == [("task.pending",), ("task.revoked",)]


async def test_cancelling_twice_is_answered_with_the_state(api: httpx.AsyncClient) -> None:
    task = await submitted(api)
    first = await api.post(task["links"]["cancel"])
    second = await api.post(task["links"]["cancel"])
    assert (second.status_code, second.json()) == (200, first.json())


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE"])
async def test_a_task_that_has_ended_stays_as_it_is(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, state: str
) -> None:
    task_id = add_task(admin, tenant.organization_id, state=state)
    answer = await api.post(f"/v1/tasks/{task_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, state)


async def test_a_run_that_was_never_begun_settles_at_once(api: httpx.AsyncClient, admin: psycopg.Connection) -> None:
    run = await executed(api)
    answer = await api.post(run["links"]["cancel"])
    body = answer.json()
    assert (answer.status_code, body["status"], body["total"]) == (200, "cancelled", None)
    assert body["cancel_requested_at"] is not None
    assert body["finished_at"] is not None
    assert (await api.get(f"/v1/tasks/{run['task_id']}")).json()["status"] == "REVOKED"
    assert messages(admin) == 0
    again = await api.post(run["links"]["cancel"])
    assert (again.status_code, again.json()) == (200, body)


async def test_a_run_whose_task_a_worker_has_fetched_settles_at_once_too(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    """The worker that plans it finds it ended."""
    run = await executed(api)
    lease_messages(admin)
    answer = await api.post(run["links"]["cancel"])
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


async def test_the_task_of_a_run_cancels_the_run(api: httpx.AsyncClient) -> None:
    run = await executed(api)
    answer = await api.post(f"/v1/tasks/{run['task_id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert (await api.get(run["links"]["self"])).json()["status"] == "cancelled"


def add_lane(admin: psycopg.Connection, run: PlannedRun, number: int, *, lease: str | None, waits: bool) -> str:
    """A lane, at work for as long as its lease, or with a message in the queue."""
    task_id = add_task(admin, run.organization_id, name="run_lane", test_run_id=run.id, state="STARTED")
    admin.execute(
        "INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id, leased_by, lease_until)"
        " VALUES (%s, %s, %s, 1, %s, %s, now() + %s::interval)",
        (run.id, number, run.organization_id, task_id, None if lease is None else uuid4(), lease),
    )
    if waits:
        admin.execute(
            "INSERT INTO broker_message (queue, organization_id, rank, visible_at, task_id, message)"
            " VALUES ('celery', %s, 9, now(), %s, '{}')",
            (run.organization_id, task_id),
        )
    return task_id


def finish(admin: psycopg.Connection, test_run_id: UUID, position: int, status: str) -> None:
    admin.execute(
        "UPDATE test_result SET status = %s WHERE test_run_id = %s AND position = %s", (status, test_run_id, position)
    )


async def test_a_run_whose_lanes_all_wait_settles_at_once_and_keeps_its_results(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    run = plan(admin, tenant.organization_id, 5)
    lane = add_lane(admin, run, 0, lease=None, waits=True)
    finish(admin, run.id, 0, "pass")
    finish(admin, run.id, 1, "fail")
    answer = await api.post(f"/v1/test-runs/{run.id}/cancel")
    body = answer.json()
    assert answer.status_code == 200
    counts = {name: body[name] for name in ("total", "pending", "passed", "failed", "errored", "cancelled")}
    assert counts == {"total": 5, "pending": 0, "passed": 1, "failed": 1, "errored": 0, "cancelled": 3}
    assert (await api.get(f"/v1/tasks/{lane}")).json()["status"] == "REVOKED"
    assert messages(admin) == 0


async def test_a_run_with_a_lane_at_work_is_left_to_the_lane(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    run = plan(admin, tenant.organization_id, 3)
    at_work = add_lane(admin, run, 0, lease="1 minute", waits=False)
    waiting = add_lane(admin, run, 1, lease=None, waits=True)
    first = await api.post(f"/v1/test-runs/{run.id}/cancel")
    second = await api.post(f"/v1/test-runs/{run.id}/cancel")
    assert (first.status_code, first.json()["status"]) == (202, "running")
    assert second.json()["cancel_requested_at"] == first.json()["cancel_requested_at"] is not None
    states = {task_id: (await api.get(f"/v1/tasks/{task_id}")).json()["status"] for task_id in (at_work, waiting)}
    assert states == {at_work: "STARTED", waiting: "REVOKED"}
    admin.execute("UPDATE lane SET lease_until = now() - interval '1 second'")
    last = await api.post(f"/v1/test-runs/{run.id}/cancel")
    assert (last.status_code, last.json()["status"], last.json()["cancelled"]) == (200, "cancelled", 3)


async def test_cancelling_needs_more_than_reading(database: TestDatabase, served: Gateway) -> None:
    async with served.client(add_tenant(database, scopes=["runs:read", "events:read"])) as reader:
        for path in (f"/v1/tasks/{uuid4()}/cancel", f"/v1/test-runs/{uuid4()}/cancel"):
            answer = await reader.post(path)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("function", ["cancel_run(%s::uuid)", "cancel_task(%s::text)"])
async def test_the_database_cancels_for_the_organization_of_the_transaction_only(
    database: TestDatabase, api: httpx.AsyncClient, tenant: Tenant, function: str
) -> None:
    run = await executed(api)
    target = run["test_run_id"] if "run" in function else run["task_id"]
    stranger = add_tenant(database)
    with connect(database.url, "gateway_rw", stranger.organization_id) as connection:
        connection.execute(f"SELECT {function}".encode(), (target,))
    assert (await api.get(run["links"]["self"])).json()["status"] == "queued"
    with connect(database.url, "gateway_rw", tenant.organization_id) as connection:
        connection.execute(f"SELECT {function}".encode(), (target,))
    assert (await api.get(run["links"]["self"])).json()["status"] == "cancelled"
