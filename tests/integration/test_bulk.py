"""Ending and repeating many at once: those that a filter finds, in bounds, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.integration.audit_log import Entry, entries_of
from tests.postgres import TestDatabase
from tests.records import act_for, add_configuration, add_run, add_task, connect, plan, plan_run, rows_of
from tests.rest import Gateway, Tenant, add_tenant, gateway

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
PATHS = ["/v1/tasks/cancel", "/v1/test-runs/cancel", "/v1/test-runs/retry"]
MOST = 3
#: What a configuration has that is read over REST, as it is before it is archived.
WHOLE: dict[str, Any] = {"mode": "parallel", "concurrency": 1, "per_test_timeout": 60, "metrics": []}


@pytest.fixture
async def served(database: TestDatabase) -> AsyncGenerator[Gateway]:
    async with gateway(database.url, max_tasks_at_once=MOST, max_runs_at_once=MOST) as running:
        yield running


@pytest.fixture
def admin(database: TestDatabase, tenant: Tenant) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url, organization_id=tenant.organization_id) as connection:
        yield connection


def audit_entries(admin: psycopg.Connection) -> list[Entry]:
    return [entry for entry in entries_of(admin) if entry["action"].endswith("_many")]


def add_tasks(admin: psycopg.Connection, tenant: Tenant, count: int, **columns: Any) -> list[str]:
    """The first is the oldest."""
    return [
        add_task(admin, tenant.organization_id, created_at=MIDNIGHT + timedelta(hours=hour), **columns)
        for hour in range(count)
    ]


def add_ended(
    admin: psycopg.Connection, tenant: Tenant, count: int = 1, configuration_id: UUID | None = None
) -> list[str]:
    """Runs with a test that failed and one that passed; the first is the oldest."""
    configuration_id = configuration_id or add_configuration(
        admin, tenant.organization_id, tests=[{"input": "a"}, {"input": "b"}]
    )
    runs = []
    for hour in range(count):
        run = plan_run(admin, tenant.organization_id, configuration_id, created_at=MIDNIGHT + timedelta(hours=hour))
        for test_id, status in zip(run.test_ids, ("fail", "pass"), strict=True):
            admin.execute(
                "UPDATE test_result SET status = %s WHERE test_run_id = %s AND test_id = %s", (status, run.id, test_id)
            )
        admin.execute(
            "UPDATE test_run SET status = 'completed', pending = 0, passed = 1, failed = 1, finished_at = now()"
            " WHERE id = %s",
            (run.id,),
        )
        runs.append(str(run.id))
    return runs


def states(admin: psycopg.Connection, ids: list[str]) -> list[str]:
    found = dict(admin.execute("SELECT id, state FROM task WHERE id = ANY (%s)", (ids,)).fetchall())
    return [found[key] for key in ids]


def statuses(admin: psycopg.Connection, ids: list[str]) -> list[str]:
    found = dict(admin.execute("SELECT id::text, status FROM test_run WHERE id = ANY (%s::uuid[])", (ids,)).fetchall())
    return [found[key] for key in ids]


# ---------------------------------------------------------------- tasks
async def test_the_oldest_tasks_are_cancelled_and_the_next_request_goes_on(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    tasks = add_tasks(admin, tenant, 5)
    body = {"filter": {"name": "echo"}}
    first = (await api.post("/v1/tasks/cancel", json=body)).json()
    assert first == {"cancelled": 3, "left": 2, "dry_run": False}
    assert states(admin, tasks) == ["REVOKED"] * 3 + ["PENDING"] * 2
    assert (await api.post("/v1/tasks/cancel", json=body)).json() == {"cancelled": 2, "left": 0, "dry_run": False}
    assert (await api.post("/v1/tasks/cancel", json=body)).json() == {"cancelled": 0, "left": 0, "dry_run": False}
    task = (await api.get(f"/v1/tasks/{tasks[0]}")).json()
    assert (task["error"], task["error_type"]) == ("The task was cancelled.", "TaskRevokedError")


async def test_cancelled_tasks_lose_their_messages_and_have_their_events(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    submitted = [(await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"] for _ in range(2)]
    assert (await api.post("/v1/tasks/cancel", json={"filter": {}})).json()["cancelled"] == 2
    assert admin.execute("SELECT count(*) FROM broker_message").fetchone() == (0,)
    kinds = "SELECT count(*) FROM task_event WHERE subject_id = ANY (%s) AND type = 'task.revoked'"
    assert admin.execute(kinds, (submitted,)).fetchone() == (2,)


@pytest.mark.parametrize(
    "wanted",
    [
        {"status": ["STARTED"]},
        {"name": "other"},
        {"queue": "slow"},
        {"created_after": "2026-01-05T12:00:00Z"},
        {"created_before": "2026-01-01T00:00:00Z"},
    ],
)
async def test_only_tasks_that_the_filter_finds_are_cancelled(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, wanted: dict[str, Any]
) -> None:
    columns = {"status": {"state": "STARTED"}, "name": {"name": "other"}, "queue": {"queue": "slow"}}
    (name,) = wanted
    times = {"created_after": MIDNIGHT + timedelta(days=1), "created_before": MIDNIGHT - timedelta(days=9)}
    (meant,) = add_tasks(admin, tenant, 1, **columns.get(name, {}))
    if name in times:
        admin.execute("UPDATE task SET created_at = %s WHERE id = %s", (times[name], meant))
    (other,) = add_tasks(admin, tenant, 1)
    answer = (await api.post("/v1/tasks/cancel", json={"filter": wanted})).json()
    assert answer == {"cancelled": 1, "left": 0, "dry_run": False}
    assert states(admin, [meant, other]) == ["REVOKED", "PENDING"]


async def test_what_has_ended_and_what_works_for_a_run_is_left_alone(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    run = plan(admin, tenant.organization_id, 1)
    (ended,) = add_tasks(admin, tenant, 1, state="SUCCESS", finished_at=MIDNIGHT)
    (lane,) = add_tasks(admin, tenant, 1, test_run_id=run.id)
    assert (await api.post("/v1/tasks/cancel", json={"filter": {}})).json()["cancelled"] == 0
    assert states(admin, [ended, lane, run.task_id]) == ["SUCCESS", "PENDING", "PENDING"]
    assert statuses(admin, [str(run.id)]) == ["running"]


# ---------------------------------------------------------------- runs
async def test_the_oldest_runs_are_cancelled_and_the_next_request_goes_on(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    configuration_id = add_configuration(admin, tenant.organization_id, tests=[])
    runs = [
        str(add_run(admin, tenant.organization_id, configuration_id, created_at=MIDNIGHT + timedelta(hours=hour)))
        for hour in range(4)
    ]
    body = {"filter": {"status": ["queued"], "test_configuration_id": str(configuration_id)}}
    assert (await api.post("/v1/test-runs/cancel", json=body)).json() == {"cancelled": 3, "left": 1, "dry_run": False}
    assert statuses(admin, runs) == ["cancelled"] * 3 + ["queued"]
    assert (await api.post("/v1/test-runs/cancel", json=body)).json() == {"cancelled": 1, "left": 0, "dry_run": False}
    assert statuses(admin, runs) == ["cancelled"] * 4


async def test_a_run_with_tests_under_way_is_asked_to_end_once(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    run = plan(admin, tenant.organization_id, 1)
    admin.execute(
        "INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id, lease_until)"
        " VALUES (%s, 0, %s, 1, 'lane', 'infinity')",
        (run.id, tenant.organization_id),
    )
    body: dict[str, Any] = {"filter": {}}
    assert (await api.post("/v1/test-runs/cancel", json=body)).json() == {"cancelled": 1, "left": 0, "dry_run": False}
    assert (await api.get(f"/v1/test-runs/{run.id}")).json()["cancel_requested_at"] is not None
    assert (await api.post("/v1/test-runs/cancel", json=body)).json()["cancelled"] == 0


async def test_runs_that_failed_are_retried_once_and_the_next_request_goes_on(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    runs = add_ended(admin, tenant, 4)
    body = {"filter": {"status": ["completed"]}}
    answered = await api.post("/v1/test-runs/retry", json=body)
    first = answered.json()
    assert (answered.status_code, first["retried"], first["left"], first["skipped"]) == (202, 3, 1, [])
    assert [made["rerun_of"] for made in first["test_runs"]] == runs[:3]
    again = (await api.get(f"/v1/test-runs/{first['test_runs'][0]['test_run_id']}")).json()
    assert (again["status"], again["rerun_of"]) == ("queued", runs[0])
    second = (await api.post("/v1/test-runs/retry", json=body)).json()
    assert ([made["rerun_of"] for made in second["test_runs"]], second["left"]) == (runs[3:], 0)
    assert (await api.post("/v1/test-runs/retry", json=body)).json()["retried"] == 0
    queued = "SELECT count(*) FROM broker_message WHERE message->'headers'->>'task' = 'execute_test_configuration'"
    assert admin.execute(queued).fetchone() == (4,)


async def test_a_run_without_tests_to_retry_and_one_that_cannot_be_executed_any_more_are_left_out(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    tests = [{"input": "a"}, {"input": "b"}]
    configuration_id = add_configuration(admin, tenant.organization_id, tests=tests, **WHOLE)
    add_ended(admin, tenant, 1, configuration_id)
    (usable,) = add_ended(admin, tenant, 1)
    assert (await api.delete(f"/v1/test-configurations/{configuration_id}")).status_code == 204
    errors = await api.post("/v1/test-runs/retry", json={"filter": {}, "statuses": ["error"]})
    assert (errors.json()["retried"], errors.json()["left"]) == (0, 0)
    failures = (await api.post("/v1/test-runs/retry", json={"filter": {}, "statuses": ["fail"]})).json()
    assert [made["rerun_of"] for made in failures["test_runs"]] == [usable]
    assert failures["left"] == 0


async def test_a_run_whose_metric_is_archived_is_skipped_with_the_reason(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    metric = (await api.post("/v1/metrics", json={"name": "m", "spec": {"type": "equals"}})).json()
    referring = [{"type": "metric", "metric_id": metric["id"]}]
    tests = [{"input": "a"}, {"input": "b"}]
    configuration_id = add_configuration(admin, tenant.organization_id, tests=tests, metrics=referring)
    (broken,) = add_ended(admin, tenant, 1, configuration_id)
    (usable,) = add_ended(admin, tenant, 1)
    assert (await api.delete(metric["links"]["self"])).status_code == 204
    answer = (await api.post("/v1/test-runs/retry", json={"filter": {}})).json()
    assert [made["rerun_of"] for made in answer["test_runs"]] == [usable]
    assert [(each["test_run_id"], each["code"]) for each in answer["skipped"]] == [(broken, "archived")]
    assert answer["left"] == 0


async def test_retrying_ends_where_the_organization_has_no_room_for_more(
    database: TestDatabase, admin: psycopg.Connection, tenant: Tenant
) -> None:
    add_ended(admin, tenant, 3)
    plans = {"default": {"concurrent_runs": 2}}
    async with gateway(database.url, plans=plans) as served, served.client(tenant) as client:
        answer = (await client.post("/v1/test-runs/retry", json={"filter": {}})).json()
        assert (answer["retried"], answer["left"], answer["skipped"]) == (2, 1, [])
        refused = await client.post("/v1/test-runs/retry", json={"filter": {}})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_runs")
    assert admin.execute("SELECT count(*) FROM test_run WHERE rerun_of IS NOT NULL").fetchone() == (2,)


async def test_the_same_idempotency_key_retries_once(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    add_ended(admin, tenant, 2)
    headers = {"Idempotency-Key": "once"}
    first, second = [await api.post("/v1/test-runs/retry", json={"filter": {}}, headers=headers) for _ in range(2)]
    assert first.json() == second.json()
    assert (first.json()["retried"], second.headers["idempotent-replayed"]) == (2, "true")
    assert "location" not in second.headers


# ---------------------------------------------------------------- all of them
def add_one_more_than_at_once(admin: psycopg.Connection, tenant: Tenant) -> None:
    """Open tasks and runs, and runs that have ended: of each one more than one request may change."""
    add_tasks(admin, tenant, MOST + 1)
    add_ended(admin, tenant, MOST + 1)
    for _ in range(MOST + 1):
        plan(admin, tenant.organization_id, 1)


@pytest.mark.parametrize("path", PATHS)
async def test_a_dry_run_tells_how_many_and_changes_nothing(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, path: str
) -> None:
    add_one_more_than_at_once(admin, tenant)
    await api.get("/v1/tasks")  # When a key was used last is written once a minute.
    before = rows_of(admin, tenant.organization_id)
    answered = await api.post(path, json={"filter": {}, "dry_run": True})
    told = answered.json()
    assert (answered.status_code, told["dry_run"], told["left"]) == (200, True, 1)
    assert told["retried" if path.endswith("retry") else "cancelled"] == MOST
    assert rows_of(admin, tenant.organization_id) == before


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_another_organizations_is_left_alone_whatever_the_filter(
    served: Gateway, database: TestDatabase, admin: psycopg.Connection, tenant: Tenant, path: str
) -> None:
    add_tasks(admin, tenant, 2, queue="slow")
    configuration_id = add_configuration(admin, tenant.organization_id, tests=[{"input": "a"}, {"input": "b"}])
    add_ended(admin, tenant, 1, configuration_id)
    plan(admin, tenant.organization_id, 1)
    stranger = add_tenant(database)
    act_for(admin, tenant.organization_id)
    before = rows_of(admin, tenant.organization_id)
    filters: list[dict[str, Any]] = [{}, {"status": []}, {"created_after": "2000-01-01T00:00:00Z"}]
    filters += [{"name": "echo"}] if "tasks" in path else [{"test_configuration_id": str(configuration_id)}]
    async with served.client(stranger) as client:
        for wanted in filters:
            for dry_run in (True, False):
                answer = (await client.post(path, json={"filter": wanted, "dry_run": dry_run})).json()
                assert answer["left"] == 0
                assert answer["retried" if path.endswith("retry") else "cancelled"] == 0
    assert rows_of(admin, tenant.organization_id) == before


@pytest.mark.parametrize("path", PATHS)
async def test_the_audit_log_has_one_entry_with_the_filter_and_the_count(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, path: str
) -> None:
    add_one_more_than_at_once(admin, tenant)
    assert (await api.post(path, json={"filter": {"created_after": "2000-01-01T00:00:00Z"}})).is_success
    (entry,) = audit_entries(admin)
    count = "retried" if path.endswith("retry") else "cancelled"
    assert entry["details"] == {"filter": {"created_after": "2000-01-01T00:00:00Z"}, count: MOST, "left": 1}
    assert entry["resource_id"] is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", [{}, {"filter": None}, {"filter": {"test_run_id": "x"}}, {"filter": {"status": "PENDING"}}, {"filter": [1]}]
)
async def test_without_a_filter_that_is_understood_nothing_is_done(
    api: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    assert (await api.post(path, json=body)).status_code == 422


async def test_a_task_with_the_id_cancel_is_a_task_like_others(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    add_task(admin, tenant.organization_id, id="cancel")
    assert (await api.post("/v1/tasks/cancel/cancel")).json()["status"] == "REVOKED"
