"""`/v1/admin`: what waits where and for whom, and ending it, across organizations."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.definitions import add_configuration
from tests.postgres import TestDatabase
from tests.records import add_task, connect, plan
from tests.rest import Gateway, Tenant, add_tenant


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
async def operator(served: Gateway, database: TestDatabase) -> AsyncGenerator[httpx.AsyncClient]:
    async with served.client(add_tenant(database, scopes=["admin"])) as client:
        yield client


async def submit(api: httpx.AsyncClient, count: int = 1) -> list[str]:
    return [(await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"] for _ in range(count)]


async def status(api: httpx.AsyncClient, task_id: str) -> str:
    return str((await api.get(f"/v1/tasks/{task_id}")).json()["status"])


def report(database: TestDatabase, node: str, *tasks: dict[str, Any]) -> list[str]:
    """What a worker does every few seconds; answers which tasks it is to stop."""
    with connect(database.url, "worker_rw") as worker:
        rows = worker.execute(
            "SELECT worker_report(%s, 7, now(), 'prefork', 2, '{celery,slow}', %s)", (node, json.dumps(tasks))
        )
        return [row[0] for row in rows.fetchall()]


async def test_queues_tell_what_waits_for_whom(  # noqa: PLR0917 - fixtures
    database: TestDatabase,
    served: Gateway,
    api: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    tenant: Tenant,
    admin: Any,
) -> None:
    delayed, leased, *_ = await submit(api, 4)
    stranger = add_tenant(database, name="stranger")
    async with served.client(stranger) as other:
        await submit(other)
    admin.execute(
        "UPDATE broker_message SET visible_at = now() + interval '1 hour' WHERE task_id IN (%s, %s)", (delayed, leased)
    )
    admin.execute("UPDATE broker_message SET leased_by = gen_random_uuid() WHERE task_id = %s", (leased,))
    report(database, "one@test")
    celery, slow = (await operator.get("/v1/admin/queues")).json()["items"]
    assert (celery["queue"], celery["ready"], celery["delayed"], celery["leased"]) == ("celery", 3, 1, 1)
    assert (celery["consumers"], celery["organization_count"]) == (1, 2)
    assert celery["oldest_ready_at"] is not None
    mine, theirs = celery["organizations"]
    assert (mine["organization_id"], mine["ready"], mine["delayed"], mine["leased"]) == (
        str(tenant.organization_id),
        2,
        1,
        1,
    )
    assert (theirs["organization"], theirs["ready"]) == ("stranger", 1)
    assert (slow["queue"], slow["ready"], slow["oldest_ready_at"], slow["organizations"]) == ("slow", 0, None, [])


async def test_queues_of_nodes_are_no_queues_of_tasks(operator: httpx.AsyncClient, admin: psycopg.Connection) -> None:
    admin.execute("SELECT broker_bind('celery.pidbox', 'fanout', '', '', 'node.pidbox', true)")
    admin.execute("SELECT broker_route('celery.pidbox', '', '{\"headers\": {}, \"properties\": {}}')")
    assert (await operator.get("/v1/admin/queues")).json()["items"] == []


@pytest.mark.parametrize("body", [{"confirm": "other"}, {"confirm": ""}, {}])
async def test_a_purge_asks_for_the_name_of_the_queue(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, body: dict[str, str]
) -> None:
    (task_id,) = await submit(api)
    refused = await operator.post("/v1/admin/queues/celery/purge", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert refused.json()["errors"][0]["pointer"] == "/confirm"
    assert await status(api, task_id) == "PENDING"


async def test_a_queue_that_is_not_there_is_not_found(operator: httpx.AsyncClient) -> None:
    answer = await operator.post("/v1/admin/queues/celery/purge", json={"confirm": "celery"})
    assert answer.status_code == 404


async def test_purged_tasks_end_and_so_do_their_runs(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, tenant: Tenant, admin: psycopg.Connection
) -> None:
    tasks = await submit(api, 2)
    made = await add_configuration(api)
    queued = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()
    running = plan(admin, tenant.organization_id, 2)
    lane = add_task(admin, tenant.organization_id, name="run_lane", test_run_id=running.id)
    admin.execute(
        "INSERT INTO broker_message (queue, organization_id, rank, visible_at, task_id, message)"
        " VALUES ('celery', %s, 9, now(), %s, '{}')",
        (tenant.organization_id, lane),
    )
    (taken,) = await submit(api)
    admin.execute(
        "UPDATE broker_message SET leased_by = gen_random_uuid(), visible_at = now() + interval '1 minute'"
        " WHERE task_id = %s",
        (taken,),
    )
    purged = await operator.post("/v1/admin/queues/celery/purge", json={"confirm": "celery"})
    assert purged.json() == {"queue": "celery", "messages": 4}
    assert {await status(api, task_id) for task_id in (*tasks, lane, queued["task_id"])} == {"REVOKED"}
    assert await status(api, taken) == "PENDING"
    for run_id in (queued["test_run_id"], running.id):
        assert (await api.get(f"/v1/test-runs/{run_id}")).json()["status"] == "cancelled"
    assert admin.execute("SELECT task_id FROM broker_message").fetchall() == [(taken,)]


async def test_a_waiting_task_of_any_organization_can_be_revoked(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, tenant: Tenant, admin: psycopg.Connection
) -> None:
    (task_id,) = await submit(api)
    path = f"/v1/admin/tasks/{task_id}"
    assert (await operator.get(path)).json()["organization_id"] == str(tenant.organization_id)
    answer = await operator.post(f"{path}/revoke")
    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert (await operator.post(f"{path}/revoke")).json() == answer.json()
    assert admin.execute("SELECT FROM broker_message").fetchall() == []


async def test_a_task_that_nobody_has_is_not_found(operator: httpx.AsyncClient) -> None:
    for action in ("revoke", "terminate"):
        assert (await operator.post(f"/v1/admin/tasks/none/{action}")).status_code == 404


async def test_a_worker_is_told_to_stop_what_was_ended_and_not_a_run(
    database: TestDatabase,
    api: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    tenant: Tenant,
    admin: psycopg.Connection,
) -> None:
    running, healthy = (add_task(admin, tenant.organization_id, state="STARTED") for _ in range(2))
    run = plan(admin, tenant.organization_id, 1)
    held = [
        {"id": task_id, "name": "x", "started_at": None, "pid": None} for task_id in (running, healthy, run.task_id)
    ]
    assert report(database, "one@test", *held) == []
    assert (await operator.post(f"/v1/admin/tasks/{running}/terminate")).json()["status"] == "REVOKED"
    assert (await operator.post(f"/v1/admin/tasks/{run.task_id}/terminate")).json()["status"] == "REVOKED"
    assert (await api.get(f"/v1/test-runs/{run.id}")).json()["status"] == "cancelled"
    assert report(database, "one@test", *held) == [running]


async def test_active_tasks_are_paged_and_dead_workers_have_none(
    database: TestDatabase, operator: httpx.AsyncClient, tenant: Tenant, admin: psycopg.Connection
) -> None:
    began = "2026-01-01T00:00:00+00:00"
    ids = [add_task(admin, tenant.organization_id, state="STARTED") for _ in range(5)]
    tasks = [{"id": task_id, "name": "echo", "started_at": began, "pid": 9} for task_id in ids]
    report(database, "one@test", *tasks[:3], {"id": "waits", "name": "echo", "started_at": None, "pid": None})
    report(database, "two@test", *tasks[3:])
    first = (await operator.get("/v1/admin/tasks?limit=3")).json()
    second = (await operator.get("/v1/admin/tasks", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    found = first["items"] + second["items"]
    assert sorted(item["task_id"] for item in found) == sorted(ids)
    assert {item["organization_id"] for item in found} == {str(tenant.organization_id)}
    assert second["next_cursor"] is None
    admin.execute("UPDATE worker_heartbeat SET at = now() - interval '1 minute' WHERE node = 'one@test'")
    left = (await operator.get("/v1/admin/tasks")).json()["items"]
    assert {item["task_id"] for item in left} == set(ids[3:])
    workers = (await operator.get("/v1/admin/workers")).json()["items"]
    assert [(item["node"], item["is_alive"], item["active"], item["reserved"]) for item in workers] == [
        ("one@test", False, 3, 1),
        ("two@test", True, 2, 0),
    ]


async def test_the_sweeper_is_empty_before_the_first_sweep(operator: httpx.AsyncClient) -> None:
    assert (await operator.get("/v1/admin/sweeper")).json() == {"swept_at": None, "steps": []}
