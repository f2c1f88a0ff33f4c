"""Lists of tasks and of runs: what they hold, in which order, page by page, and which fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from gateway.api import tasks
from tests.postgres import TestDatabase
from tests.records import act_for, add_configuration, add_run, add_run_group, add_task, connect
from tests.rest import Gateway, Tenant, add_tenant
from workerapp.db.tables import task

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
SORTS = ["created_at", "-created_at", "finished_at", "-finished_at"]

#: Adds what was made at one hour and ended at another, or has not; answers its id.
Adder: TypeAlias = Callable[[int, int | None], str]


def at(hour: int | None) -> datetime | None:
    return None if hour is None else MIDNIGHT + timedelta(hours=hour)


@pytest.fixture
def admin(database: TestDatabase, tenant: Tenant) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url, organization_id=tenant.organization_id) as connection:
        yield connection


@pytest.fixture
def configuration_id(admin: psycopg.Connection, tenant: Tenant) -> UUID:
    return add_configuration(admin, tenant.organization_id, tests=[{"input": "?"}])


@pytest.fixture
def add(path: str, admin: psycopg.Connection, tenant: Tenant, configuration_id: UUID) -> Adder:
    def one_task(made: int, ended: int | None) -> str:
        times = {"created_at": at(made), "finished_at": at(ended)}
        return add_task(admin, tenant.organization_id, state="PENDING" if ended is None else "SUCCESS", **times)

    def one_run(made: int, ended: int | None) -> str:
        times = {"created_at": at(made), "finished_at": at(ended)}
        status = "running" if ended is None else "completed"
        return str(add_run(admin, tenant.organization_id, configuration_id, status=status, **times))

    return one_task if path == "/v1/tasks" else one_run


both = pytest.mark.parametrize("path", ["/v1/tasks", "/v1/test-runs"])


def id_of(item: dict[str, Any]) -> str:
    return str(item["task_id"] if "task_id" in item and "id" not in item else item["id"])


def set_of(admin: psycopg.Connection, configuration_id: UUID) -> str:
    row = admin.execute("SELECT test_set_id FROM test_configuration WHERE id = %s", (configuration_id,)).fetchone()
    assert row is not None
    return str(row[0])


async def ids(api: httpx.AsyncClient, path: str, **parameters: Any) -> list[str]:
    response = await api.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return [id_of(item) for item in response.json()["items"]]


@both
@pytest.mark.parametrize("sort", SORTS)
async def test_pages_hold_each_item_once_in_the_order_that_is_asked_for(
    api: httpx.AsyncClient, path: str, add: Adder, sort: str
) -> None:
    # Some of the same instant, some that go on, and made in another order than ended.
    made = {add(hour, ended): (hour, ended) for hour, ended in [(3, 9), (1, 9), (2, 7), (3, None), (3, 8), (1, None)]}
    place = 1 if "finished" in sort else 0
    expected = [key for key, times in made.items() if times[place] is not None]
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 2, "sort": sort}
    while parameters.get("cursor", "") is not None:
        page = (await api.get(path, params=parameters)).json()
        seen += map(id_of, page["items"])
        parameters["cursor"] = page["next_cursor"]
    assert sorted(seen) == sorted(expected)
    hours = [made[key][place] for key in seen]
    assert hours == sorted(hours, reverse=sort.startswith("-"))


@both
@pytest.mark.parametrize("sort", SORTS)
async def test_what_is_added_between_two_pages_shifts_nothing(
    api: httpx.AsyncClient, path: str, add: Adder, sort: str
) -> None:
    there = [add(hour, hour + 10) for hour in range(4)]
    page = (await api.get(path, params={"limit": 2, "sort": sort})).json()
    for hour in (-1, 1, 4):
        add(hour, hour + 10)
    seen = [id_of(item) for item in page["items"]]
    seen += await ids(api, path, sort=sort, cursor=page["next_cursor"])
    assert len(seen) == len(set(seen))
    assert [key for key in seen if key in there] == (there[::-1] if sort.startswith("-") else there)


@both
async def test_what_ends_between_two_pages_is_neither_lost_nor_seen_twice(
    api: httpx.AsyncClient, path: str, add: Adder, admin: psycopg.Connection
) -> None:
    there = [add(hour, None) for hour in range(4)]
    page = (await api.get(path, params={"limit": 2})).json()
    table = "task" if path == "/v1/tasks" else "test_run"
    admin.execute(f"UPDATE {table} SET finished_at = now()".encode())
    seen = [id_of(item) for item in page["items"]] + await ids(api, path, cursor=page["next_cursor"])
    assert seen == there[::-1]


@both
async def test_a_cursor_goes_with_its_order_and_its_list(api: httpx.AsyncClient, path: str, add: Adder) -> None:
    for hour in range(2):
        add(hour, hour)
    cursor = (await api.get(path, params={"limit": 1, "sort": "finished_at"})).json()["next_cursor"]
    refused = await api.get(path, params={"cursor": cursor})
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert "sort=finished_at" in refused.json()["detail"]
    for other in ("/v1/endpoints", "/v1/test-sets"):
        assert (await api.get(other, params={"cursor": cursor})).status_code == 422


@both
async def test_items_are_those_made_in_a_span_of_time_with_its_first_moment_and_without_its_last(
    api: httpx.AsyncClient, path: str, add: Adder
) -> None:
    made = [add(hour, None) for hour in range(4)]
    assert await ids(api, path, created_after="2026-01-05T01:00:00Z") == made[:0:-1]
    assert await ids(api, path, created_before="2026-01-05T01:00:00Z") == made[:1]
    span = {"created_after": "2026-01-05T02:00:00+01:00", "created_before": "2026-01-05T03:00:00Z"}
    assert await ids(api, path, **span) == [made[2], made[1]]
    refused = await api.get(path, params={"created_after": "2026-01-05T01:00:00"})
    assert [fault["parameter"] for fault in refused.json()["errors"]] == ["created_after"]


@both
async def test_items_have_the_fields_that_are_asked_for_and_their_id(
    api: httpx.AsyncClient, path: str, add: Adder
) -> None:
    key = add(0, 1)
    identity = "task_id" if path == "/v1/tasks" else "id"
    (whole,) = (await api.get(path)).json()["items"]
    part = (await api.get(path, params={"fields": "status,finished_at"})).json()
    assert part == {
        "items": [{identity: key, "status": whole["status"], "finished_at": whole["finished_at"]}],
        "next_cursor": None,
    }
    every = ",".join(whole)
    assert (await api.get(path, params={"fields": every})).json()["items"] == [whole]


@both
async def test_without_fields_an_item_of_a_list_has_what_the_document_lists(
    api: httpx.AsyncClient, path: str, add: Adder
) -> None:
    """The document cannot say so: there, what may be left out is not required."""
    add(0, 1)
    (whole,) = (await api.get(path)).json()["items"]
    one = (await api.get(whole["links"]["self"])).json()
    assert one.keys() - whole.keys() == (
        {"result", "error", "error_type", "progress"} if path == "/v1/tasks" else set()
    )


@both
@pytest.mark.parametrize("fields", ["status,secret", "", "status,", "organization_id"])
async def test_a_field_that_there_is_not_is_refused_with_those_there_are(
    api: httpx.AsyncClient, path: str, fields: str
) -> None:
    refused = await api.get(path, params={"fields": fields})
    (fault,) = refused.json()["errors"]
    assert (refused.status_code, fault["parameter"]) == (422, "fields")
    assert "there are" in fault["detail"]
    assert "finished_at" in fault["detail"]


async def test_tasks_are_found_by_states_name_queue_and_run(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, configuration_id: UUID
) -> None:
    organization_id = tenant.organization_id
    run_id = add_run(admin, organization_id, configuration_id)
    of_run = (await api.get("/v1/test-runs")).json()["items"][0]["task_id"]
    made = {
        name: add_task(admin, organization_id, **columns)
        for name, columns in {
            "failed": {"state": "FAILURE", "finished_at": at(1)},
            "revoked": {"state": "REVOKED", "finished_at": at(1)},
            "own": {"state": "WORKING"},
            "named": {"name": "reports.daily"},
            "queued": {"queue": "slow"},
        }.items()
    }
    assert {*await ids(api, "/v1/tasks", status=["FAILURE", "REVOKED"])} == {made["failed"], made["revoked"]}
    assert {*await ids(api, "/v1/tasks", status=["FAILURE", "WORKING"])} == {made["failed"], made["own"]}
    assert await ids(api, "/v1/tasks", status="WORKING") == [made["own"]]
    assert await ids(api, "/v1/tasks", name="reports.daily") == [made["named"]]
    assert await ids(api, "/v1/tasks", name="reports") == []
    assert await ids(api, "/v1/tasks", queue="slow") == [made["queued"]]
    assert await ids(api, "/v1/tasks", queue="slow", name="reports.daily") == []
    assert await ids(api, "/v1/tasks", test_run_id=str(run_id)) == [of_run]


async def test_runs_are_found_by_statuses_configuration_test_set_and_group(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    organization_id = tenant.organization_id
    first, second = (add_configuration(admin, organization_id, tests=[]) for _ in range(2))
    group_id = add_run_group(admin, organization_id)
    queued = str(add_run(admin, organization_id, first))
    failed = str(add_run(admin, organization_id, first, status="failed", finished_at=at(1)))
    grouped = str(add_run(admin, organization_id, second, status="partial", finished_at=at(1), run_group_id=group_id))
    path = "/v1/test-runs"
    assert {*await ids(api, path, status=["failed", "partial"])} == {failed, grouped}
    assert await ids(api, path, status="queued") == [queued]
    assert {*await ids(api, path, status=["queued", "failed"])} == {queued, failed}
    assert {*await ids(api, path, test_configuration_id=str(first))} == {queued, failed}
    assert await ids(api, path, run_group_id=str(group_id)) == [grouped]
    assert await ids(api, path, test_set_id=set_of(admin, second)) == [grouped]
    assert (await api.get(path, params={"status": "PENDING"})).status_code == 422


async def test_no_filter_finds_what_is_another_organizations(
    served: Gateway, database: TestDatabase, admin: psycopg.Connection, tenant: Tenant, configuration_id: UUID
) -> None:
    run_id = add_run(admin, tenant.organization_id, configuration_id, status="failed", finished_at=at(1))
    add_task(admin, tenant.organization_id, queue="slow", finished_at=at(1), state="FAILURE", test_run_id=run_id)
    test_set_id = set_of(admin, configuration_id)
    stranger = add_tenant(database)
    act_for(admin, tenant.organization_id)
    task_filters: list[dict[str, Any]] = [
        *({"status": "FAILURE"}, {"name": "echo"}, {"queue": "slow"}, {"test_run_id": str(run_id)}),
        *({"created_after": "2000-01-01T00:00:00Z"}, {"sort": "finished_at"}),
    ]
    run_filters: list[dict[str, Any]] = [
        *({"status": "failed"}, {"test_configuration_id": str(configuration_id)}, {"test_set_id": test_set_id}),
        *({"created_before": "2100-01-01T00:00:00Z"}, {"sort": "finished_at"}),
    ]
    async with served.client(stranger) as client:
        for filters in task_filters:
            assert await ids(client, "/v1/tasks", **filters) == []
        for filters in run_filters:
            assert await ids(client, "/v1/test-runs", **filters) == []


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "(organization_id, created_at, id)"),
        ({"sort": "created_at", "created_after": "2026-01-01T00:00:00Z"}, "(organization_id, created_at, id)"),
        ({"sort": "-finished_at"}, "(organization_id, finished_at, id) WHERE (finished_at IS NOT NULL)"),
        ({"name": "rare"}, "(organization_id, name, created_at, id)"),
        ({"status": ["STARTED"]}, "(organization_id, created_at, id) WHERE (finished_at IS NULL)"),
    ],
)
async def test_a_page_of_tasks_is_read_from_an_index_in_its_order(
    admin: psycopg.Connection, tenant: Tenant, asked: dict[str, Any], index: str
) -> None:
    admin.execute(
        "INSERT INTO task (id, organization_id, name, state, created_at, finished_at)"
        " SELECT gen_random_uuid()::text, %s, CASE n %% 100 WHEN 0 THEN 'rare' ELSE 'echo' END,"
        " CASE n %% 5 WHEN 0 THEN 'STARTED' ELSE 'SUCCESS' END, now() - n * interval '1 s',"
        " CASE n %% 5 WHEN 0 THEN NULL ELSE now() END FROM generate_series(1, 5000) n",
        (tenant.organization_id,),
    )
    admin.execute("ANALYZE task")
    query = tasks.TaskQuery.model_validate(asked)
    wanted = (task.c.organization_id == tenant.organization_id, *query.conditions())
    statement = tasks._SORTING.page(select(task.c.state).where(*wanted), query, 50)
    text = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    plan = "\n".join(line for (line,) in admin.execute(f"EXPLAIN {text}".encode()).fetchall())
    assert "Sort" not in plan
    used = plan.partition("using ")[2].split()[0]
    definition = admin.execute("SELECT pg_get_indexdef(%s::regclass)", (used,)).fetchone()
    assert definition is not None
    assert definition[0].endswith(index)
