"""Tasks over REST: submitted with their message in one transaction, read with what came of them, listed by pages."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.postgres import TestDatabase
from tests.records import add_task, connect
from tests.rest import Tenant, gateway


def messages(database: TestDatabase) -> list[tuple[str, str, dict[str, Any]]]:
    with connect(database.admin_url) as admin:
        return admin.execute("SELECT queue, organization_id::text, message FROM broker_message ORDER BY id").fetchall()


async def test_a_submitted_task_has_its_row_and_its_message(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    response = await api.post("/v1/tasks", json={"name": "echo", "args": ["hello"]})
    submitted = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/tasks/{submitted['task_id']}"
    task = (await api.get(response.headers["location"])).json()
    assert (task["status"], task["name"], task["result"], task["error"]) == ("PENDING", "echo", None, None)
    ((queue, owner, message),) = messages(database)
    assert (queue, owner) == ("celery", str(tenant.organization_id))
    assert message["headers"]["id"] == submitted["task_id"]
    assert message["headers"]["organization_id"] == str(tenant.organization_id)


async def test_arguments_travel_as_they_were_given(api: httpx.AsyncClient, database: TestDatabase) -> None:
    arguments = {"args": [1, "ü", None, {"a": [1.5]}], "kwargs": {"name": "x"}}
    assert (await api.post("/v1/tasks", json={"name": "echo"} | arguments)).status_code == 202
    ((*_, message),) = messages(database)
    body = json.loads(base64.b64decode(message["body"]))
    assert body[:2] == [arguments["args"], arguments["kwargs"]]


async def test_the_more_urgent_of_an_organizations_tasks_is_fetched_first_and_what_is_to_begin_later_is_not(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    sent: list[dict[str, Any]] = [
        {},
        {"priority": 9},
        {"priority": 5},
        {"priority": 9, "countdown": 60},
        {"priority": 0},
    ]
    ids = [(await api.post("/v1/tasks", json={"name": "echo"} | options)).json()["task_id"] for options in sent]
    with connect(database.url, "worker_rw") as worker:
        fetched = worker.execute(
            "SELECT message->'headers'->>'id' FROM broker_fetch(ARRAY['celery'], 10, gen_random_uuid(), '1 minute')"
        ).fetchall()
    assert [task_id for (task_id,) in fetched] == [ids[place] for place in (1, 2, 0, 4)]


async def test_the_times_of_a_task_are_in_its_row_and_in_its_message(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    eta, expires = (datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours) for hours in (1, 2))
    body = {"name": "echo", "eta": eta.isoformat(), "expires": expires.isoformat()}
    task = (await api.get((await api.post("/v1/tasks", json=body)).headers["location"])).json()
    assert [datetime.fromisoformat(task[name]) for name in ("eta", "expires_at")] == [eta, expires]
    ((*_, message),) = messages(database)
    assert [datetime.fromisoformat(message["headers"][name]) for name in ("eta", "expires")] == [eta, expires]
    with connect(database.admin_url) as admin:
        assert admin.execute("SELECT visible_at FROM broker_message").fetchone() == (eta,)


@pytest.mark.parametrize(
    ("options", "pointer", "code"),
    [
        ({"countdown": 60, "eta": "2100-01-01T00:00:00Z"}, "/eta", "schedule_invalid"),
        ({"countdown": 31 * 86_400}, "/countdown", "schedule_invalid"),
        ({"expires": "2020-01-01T00:00:00Z"}, "/expires", "schedule_invalid"),
        ({"countdown": -1}, "/countdown", "validation_failed"),
        ({"eta": "2026-01-05T00:00:00"}, "/eta", "validation_failed"),
        ({"priority": 10}, "/priority", "validation_failed"),
        ({"priority": 1.5}, "/priority", "validation_failed"),
    ],
)
async def test_times_and_priorities_that_cannot_be_kept_are_refused(
    api: httpx.AsyncClient, database: TestDatabase, options: dict[str, Any], pointer: str, code: str
) -> None:
    refused = await api.post("/v1/tasks", json={"name": "echo"} | options)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert messages(database) == []


async def test_patterns_and_more_queues_can_be_allowed(database: TestDatabase, tenant: Tenant) -> None:
    allowed: dict[str, Any] = {"task_allow": ("reports.*",), "task_queues": ("slow",)}
    async with gateway(database.url, **allowed) as running, running.client(tenant) as client:
        accepted = await client.post("/v1/tasks", json={"name": "reports.daily", "queue": "slow"})
        refused = await client.post("/v1/tasks", json={"name": "echo"})
    assert (accepted.status_code, refused.status_code) == (202, 422)
    assert [queue for queue, *_ in messages(database)] == ["slow"]


async def test_a_failed_task_tells_the_error_and_its_type_and_no_stack_trace(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    task_id = (await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"]
    error = {"exc_type": "ValueError", "exc_message": ["no such thing"], "exc_module": "builtins"}
    _record(database, tenant, task_id, "FAILURE", error=json.dumps(error), traceback="Traceback …")
    task = (await api.get(f"/v1/tasks/{task_id}")).json()
    assert (task["status"], task["error"], task["error_type"]) == ("FAILURE", "no such thing", "ValueError")
    assert "Traceback" not in json.dumps(task)
    assert task["finished_at"] is not None


@pytest.mark.parametrize("result", ["text", 5, None, {"a": [1, None]}, [], True])
async def test_a_result_is_answered_as_the_json_it_is(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, result: Any
) -> None:
    task_id = (await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"]
    _record(database, tenant, task_id, "SUCCESS", result=json.dumps(result))
    task = (await api.get(f"/v1/tasks/{task_id}")).json()
    assert (task["status"], task["result"]) == ("SUCCESS", result)


async def test_pages_of_tasks_hold_each_task_once_the_newest_first(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    with connect(database.admin_url) as admin, admin.transaction():
        # In one transaction: all were made at the same instant, so only the id tells them apart.
        made = {add_task(admin, tenant.organization_id) for _ in range(7)}
    newest = (await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"]
    seen, cursor = [], None
    while True:
        page = (await api.get("/v1/tasks", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [task["task_id"] for task in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen[0] == newest
    assert len(seen) == len(set(seen))
    assert set(seen) == made | {newest}


async def test_tasks_can_be_listed_by_state(api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant) -> None:
    with connect(database.admin_url) as admin:
        failed = add_task(admin, tenant.organization_id, id=f"of-celerys-making-{uuid4()}", state="FAILURE")
        add_task(admin, tenant.organization_id)
    page = (await api.get("/v1/tasks?status=FAILURE")).json()
    assert [task["task_id"] for task in page["items"]] == [failed]


def _record(
    database: TestDatabase,
    tenant: Tenant,
    task_id: str,
    state: str,
    *,
    result: str | None = None,
    error: str | None = None,
    traceback: str | None = None,
) -> None:
    """Write a state as the worker's result backend does."""
    with connect(database.url, "worker_rw", tenant.organization_id) as worker:
        row = worker.execute(
            "SELECT record_task_state(%s, %s, %s, %s, %s, NULL, %s, 'echo', 'w', 0, 'celery', NULL, NULL, NULL, NULL,"
            " false)",
            (task_id, tenant.organization_id, state, result, error, traceback),
        ).fetchone()
    assert row == ("written",)
