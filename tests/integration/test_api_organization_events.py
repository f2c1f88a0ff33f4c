"""`GET /v1/events`: each event of an organization once, behind any cursor, and a clear answer when that cannot be."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.integration.test_api_events import finish
from tests.postgres import TestDatabase
from tests.records import add_task, connect
from tests.rest import Tenant, gateway
from tests.waiting import settled_log

EVENTS = "/v1/events"


async def read(api: httpx.AsyncClient, after: str | None = None, **filters: Any) -> dict[str, Any]:
    response = await api.get(EVENTS, params={**({"after": after} if after else {}), **filters})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def read_all(api: httpx.AsyncClient, after: str, **filters: Any) -> list[tuple[str, int]]:
    """Everything behind a cursor, by nothing but cursors."""
    events: list[tuple[str, int]] = []
    while True:
        page = await read(api, after, **filters)
        events += told(page)
        after = page["cursor"]
        if not page["has_more"]:
            return events


def told(page: dict[str, Any]) -> list[tuple[str, int]]:
    return [(event["subject"], event["seq"]) for event in page["items"]]


async def submit(api: httpx.AsyncClient, name: str = "echo") -> str:
    task_id: str = (await api.post("/v1/tasks", json={"name": name})).json()["task_id"]
    return task_id


async def test_without_a_cursor_it_begins_now_and_with_it_goes_on(api: httpx.AsyncClient) -> None:
    await submit(api)
    start = await read(api)
    assert (start["items"], start["has_more"]) == ([], False)
    task_id = await submit(api)
    page = await read(api, start["cursor"])
    assert told(page) == [(task_id, 1)]
    assert (await read(api, page["cursor"]))["items"] == []
    assert told(await read(api, start["cursor"])) == [(task_id, 1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_pages_of_any_size_hold_everything_once(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, limit: int
) -> None:
    tasks = [await submit(api) for _ in range(3)]
    for task_id in tasks:
        finish(database, tenant, task_id, "STARTED", "SUCCESS")
    events = await read_all(api, "earliest", limit=limit)
    assert events == [(task_id, 1) for task_id in tasks] + [(task_id, seq) for task_id in tasks for seq in (2, 3)]


async def test_filters_of_one_kind_add_and_of_different_kinds_narrow(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    echo, count = await submit(api), await submit(api, "count_test_sets")
    finish(database, tenant, echo, "STARTED", "SUCCESS")
    finish(database, tenant, count, "STARTED", "FAILURE")
    asked: list[tuple[dict[str, Any], list[tuple[str, int]]]] = [
        ({"types": ["task.succeeded", "task.failed"]}, [(echo, 3), (count, 3)]),
        ({"types": "task.*", "task_name": "count_test_sets"}, [(count, 1), (count, 2), (count, 3)]),
        ({"status": ["SUCCESS", "PENDING"], "task_name": ["echo"]}, [(echo, 1), (echo, 3)]),
        ({"types": "task.succeeded", "task_name": "count_test_sets"}, []),
        ({"types": "test_run.*"}, []),
    ]
    for filters, expected in asked:
        assert await read_all(api, "earliest", **filters) == expected, filters
        assert await read_all(api, "earliest", limit=1, **filters) == expected, filters


async def test_one_request_looks_at_a_limited_number_of_events_and_the_cursor_moves_on(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, max_events_scanned=4) as served, served.client(tenant) as api:
        for _ in range(10):
            await submit(api)
        wanted = await submit(api, "count_test_sets")
        page = await read(api, "earliest", limit=2, task_name="count_test_sets")
        assert (page["items"], page["has_more"]) == ([], True)
        assert await read_all(api, page["cursor"], limit=2, task_name="count_test_sets") == [(wanted, 1)]


async def test_unknown_type_is_refused_with_those_there_are(api: httpx.AsyncClient) -> None:
    response = await api.get(EVENTS, params={"types": ["task.*", "task.finished"]})
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    (fault,) = response.json()["errors"]
    assert fault["parameter"] == "types"
    assert fault["detail"].startswith('There is no event type "task.finished"; there are task.pending, ')
    assert "task.*, test_run.*" in fault["detail"]


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"after": "17"}, "after"),
        ({"after": "A" * 8_001}, "after"),
        ({"after": ["earliest", "earliest"]}, "after"),
        ({"limit": 501}, "limit"),
        ({"limit": [1, 2]}, "limit"),
        ({"status": ["x"] * 51}, "status"),
        ({"task_name": ""}, "task_name"),
        ({"cursor": "x"}, "cursor"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(
    api: httpx.AsyncClient, parameters: dict[str, Any], name: str
) -> None:
    response = await api.get(EVENTS, params=parameters)
    assert response.status_code == 422
    assert [fault["parameter"] for fault in response.json()["errors"]] == [name]


async def test_cursor_before_what_was_removed_is_answered_as_expired(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    before = (await read(api))["cursor"]
    with connect(database.admin_url) as admin:
        old = add_task(admin, tenant.organization_id, state="SUCCESS")
        await asyncio.to_thread(settled_log, admin)
        behind = (await read(api, before))["cursor"]
        admin.execute("UPDATE task_event SET at = now() - interval '40 days'")
        kept = add_task(admin, tenant.organization_id)
        assert admin.execute("SELECT removed FROM prune_events('30 days', 0, 100)").fetchone() == (1,)
    response = await api.get(EVENTS, params={"after": before})
    assert (response.status_code, response.json()["code"]) == (410, "cursor_expired")
    assert "after=earliest" in response.json()["detail"]
    assert old != kept
    for after in ("earliest", behind):
        assert await read_all(api, after) == [(kept, 1)]
