"""How many runs, tests of runs and tasks of an organization may be open at a time."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.clock import Clock
from tests.definitions import Configured, add_configuration, add_endpoint
from tests.integration.test_api_metrics import scrape
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, add_tenant, gateway

TASK = {"name": "echo"}


def plan(**fields: int) -> dict[str, Any]:
    return {"plans": {"default": fields}}


async def execute(client: httpx.AsyncClient, made: Configured, **options: Any) -> httpx.Response:
    return await client.post(f"/v1/test-configurations/{made.configuration_id}/execute", json=options)


def refused(response: httpx.Response, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (429, code), response.text
    assert response.headers["retry-after"] == "5"
    return str(response.json()["detail"])


def change(database: TestDatabase, statement: str, *parameters: Any) -> None:
    with connect(database.admin_url) as admin:
        admin.execute(statement, parameters)


def count(database: TestDatabase, tenant: Tenant) -> int:
    with connect(database.admin_url) as admin:
        found = admin.execute("SELECT count(*) FROM test_run WHERE organization_id = %s", (tenant.organization_id,))
        (row,) = found.fetchall()
        return int(row[0])


async def test_an_organization_has_so_many_runs_open_and_another_has_its_own(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, **plan(concurrent_runs=2)) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        first = (await execute(api, made)).json()
        assert (await execute(api, made)).status_code == 202
        assert "2 runs open at a time" in refused(await execute(api, made), "too_many_runs")
        async with served.client(add_tenant(database)) as other:
            assert (await execute(other, await add_configuration(other))).status_code == 202
        await api.post(first["links"]["cancel"])
        assert (await execute(api, made)).status_code == 202
        values = await scrape(served)
    assert values["gateway_limits_reached_total runs"] == 1
    assert count(database, tenant) == 3


async def test_of_runs_that_are_submitted_at_once_only_as_many_are_made_as_there_is_room_for(
    database: TestDatabase, tenant: Tenant
) -> None:
    limits = plan(concurrent_runs=4) | {"pool_size": 10}
    async with (
        gateway(database.url, **limits) as one,
        gateway(database.url, **limits) as two,
        one.client(tenant) as api,
        two.client(tenant) as beside,
    ):
        made = await add_configuration(api)
        responses = await asyncio.gather(*(execute(client, made) for client in (api, beside) * 8))
    statuses = [response.status_code for response in responses]
    assert (statuses.count(202), statuses.count(429)) == (4, 12)
    assert count(database, tenant) == 4


async def test_a_refused_submission_leaves_its_idempotency_key_to_the_next_one(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, **plan(concurrent_runs=1)) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        first = (await execute(api, made)).json()
        path, headers = f"/v1/test-configurations/{made.configuration_id}/execute", {"Idempotency-Key": "one"}
        refused(await api.post(path, json={}, headers=headers), "too_many_runs")
        await api.post(first["links"]["cancel"])
        again = await api.post(path, json={}, headers=headers)
        assert (again.status_code, again.headers.get("idempotent-replayed")) == (202, None)
        replayed = await api.post(path, json={}, headers=headers)
        assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (202, "true")


async def test_the_runs_of_a_group_need_room_for_all_of_them(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, **plan(concurrent_runs=2)) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        ids = [made.endpoint_id, await add_endpoint(api), await add_endpoint(api)]
        path = f"/v1/test-sets/{made.test_set_id}/execute"
        never = await api.post(path, json={"endpoint_ids": ids})
        assert (never.status_code, never.json()["code"]) == (422, "too_many_tests")
        run = (await execute(api, made)).json()
        assert "no room for 2 more" in refused(await api.post(path, json={"endpoint_ids": ids[:2]}), "too_many_runs")
        await api.post(run["links"]["cancel"])
        assert (await api.post(path, json={"endpoint_ids": ids[:2]})).status_code == 202
        refused(await execute(api, made), "too_many_runs")


async def test_tests_wait_from_the_submission_of_their_run_until_each_has_a_result(
    database: TestDatabase, tenant: Tenant
) -> None:
    tests = [{"input": str(number)} for number in range(4)]
    async with gateway(database.url, **plan(queued_tests=10)) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        await api.post(f"/v1/test-sets/{made.test_set_id}/tests", json={"tests": tests})
        run = (await execute(api, made)).json()
        assert (await execute(api, made)).status_code == 202
        assert "no room for 5 more" in refused(await execute(api, made), "too_many_queued_tests")
        change(database, "UPDATE test_run SET planned = 5, pending = 1 WHERE id = %s", run["test_run_id"])
        assert "no room for 5 more" in refused(await execute(api, made, repeats=1), "too_many_queued_tests")
        assert (await execute(api, made, sample={"first": 2}, repeats=2)).status_code == 202
        refused(await execute(api, made), "too_many_queued_tests")
        values = await scrape(served)
    assert values["gateway_limits_reached_total queued_tests"] == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 5),
        ({"repeats": 3}, 15),
        ({"sample": {"first": 2}}, 2),
        ({"sample": {"random": 50}, "repeats": 2}, 10),
        ({"sample": {"tags": ["none"]}}, 5),
    ],
)
async def test_a_run_is_expected_to_have_the_results_that_its_options_allow(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, options: dict[str, Any], expected: int
) -> None:
    made = await add_configuration(api, repeats=1)
    tests = [{"input": str(number)} for number in range(5)]
    added = await api.post(f"/v1/test-sets/{made.test_set_id}/tests", json={"tests": tests})
    await api.delete(f"/v1/test-sets/{made.test_set_id}/tests/{added.json()['test_ids'][0]}")
    run = (await execute(api, made, **options)).json()
    assert expected_of(database, run["test_run_id"]) == expected


async def test_a_run_that_repeats_another_is_expected_to_have_the_results_it_repeats(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await add_configuration(api)
    source = (await execute(api, made)).json()["test_run_id"]
    change(
        database,
        "WITH source AS (UPDATE test_run SET status = 'partial', planned = 4, finished_at = now() WHERE id = %s"
        " RETURNING id, organization_id)"
        " INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat, status, finished_at)"
        " SELECT s.id, t.id, s.organization_id, 0, n, r.status, now()"
        " FROM source s JOIN test t USING (organization_id),"
        " unnest(ARRAY['pass', 'fail', 'error', 'cancelled']) WITH ORDINALITY AS r (status, n)",
        source,
    )
    expected = {}
    for what in ("retry", "rerun", "rescore"):
        response = await api.post(f"/v1/test-runs/{source}/{what}", json={})
        assert response.status_code == 202, response.text
        expected[what] = expected_of(database, response.json()["test_run_id"])
    assert expected == {"retry": 2, "rerun": 4, "rescore": 3}


async def test_a_run_that_can_never_have_room_is_told_so(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, **plan(queued_tests=3)) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        response = await execute(api, made, repeats=4)
    assert (response.status_code, response.json()["code"]) == (422, "too_many_tests")
    assert "4 tests in 1 runs" in response.json()["detail"]
    assert "3 tests waiting" in response.json()["detail"]


async def test_an_organization_has_so_many_tasks_open_and_those_of_runs_are_not_counted(
    database: TestDatabase, tenant: Tenant
) -> None:
    clock = Clock()
    async with gateway(database.url, clock, **plan(queued_tasks=2)) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        assert (await execute(api, made)).status_code == 202
        first = (await api.post("/v1/tasks", json=TASK)).json()
        invocation = f"/v1/endpoints/{made.endpoint_id}/invoke"
        invoked = await api.post(invocation, json={"input": "1 + 1"}, headers={"Prefer": "wait=0"})
        assert invoked.status_code == 202
        assert "2 tasks open at a time" in refused(await api.post("/v1/tasks", json=TASK), "too_many_queued_tasks")
        refused(await api.post(invocation, json={"input": "1 + 1"}), "too_many_queued_tasks")
        async with served.client(add_tenant(database)) as other:
            assert (await other.post("/v1/tasks", json=TASK)).status_code == 202
        await api.post(first["links"]["cancel"])
        refused(await api.post("/v1/tasks", json=TASK), "too_many_queued_tasks")
        clock.now += 1
        assert (await api.post("/v1/tasks", json=TASK)).status_code == 202
        refused(await api.post("/v1/tasks", json=TASK), "too_many_queued_tasks")
        assert (await execute(api, made)).status_code == 202
        values = await scrape(served)
    assert values["gateway_limits_reached_total queued_tasks"] == 4


def expected_of(database: TestDatabase, run_id: str) -> int:
    with connect(database.admin_url) as admin:
        (row,) = admin.execute("SELECT expected FROM test_run WHERE id = %s", (UUID(run_id),)).fetchall()
        return int(row[0])
