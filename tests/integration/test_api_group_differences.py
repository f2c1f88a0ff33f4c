"""The tests on which the runs of a group differ, over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedGroup, connect, plan_group
from tests.rest import Tenant, gateway


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def group(admin: psycopg.Connection, tenant: Tenant) -> PlannedGroup:
    """Three runs of five tests: the first and the last test differ nowhere."""
    planned = plan_group(admin, tenant.organization_id, runs=3, tests=5)
    end(admin, planned, 0, "pass", "pass", "fail", "pass", "fail")
    end(admin, planned, 1, "pass", "fail", "pass", "pass", "fail")
    end(admin, planned, 2, "pass", "pass", "fail", "error", "fail")
    admin.execute("SELECT settle_group(%s)", (planned.id,))
    return planned


def end(admin: psycopg.Connection, group: PlannedGroup, place: int, *statuses: str) -> None:
    run = group.runs[place]
    results = [
        {
            "test_id": str(test_id),
            "status": status,
            "attempts": 1,
            "output": {"output": f"{status} by {place}"},
            "scores": {"score": 0.5, "reason": "why"},
        }
        for test_id, status in zip(run.test_ids, statuses, strict=True)
    ]
    admin.execute("SELECT record_results(%s, %s)", (run.id, Jsonb(results)))


async def differences(api: httpx.AsyncClient, group: PlannedGroup, **query: Any) -> dict[str, Any]:
    response = await api.get(f"/v1/run-groups/{group.id}/differences", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def told(item: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    return [(one["change"], one["result"] and one["result"]["status"]) for one in item["outcomes"]]


async def test_a_group_tells_how_its_runs_compare(api: httpx.AsyncClient, group: PlannedGroup) -> None:
    body = (await api.get(f"/v1/run-groups/{group.id}")).json()
    comparison = body["comparison"]
    assert (body["status"], comparison["tests"], comparison["differing"]) == ("partial", 5, 3)
    none = dict.fromkeys(("newly_errored", "otherwise", "only_in_run", "only_in_baseline"), 0)
    assert [run["changes"] for run in comparison["runs"]] == [
        None,
        none | {"newly_failing": 1, "newly_passing": 1, "unchanged": 3},
        none | {"newly_failing": 0, "newly_passing": 0, "newly_errored": 1, "unchanged": 4},
    ]


async def test_the_tests_that_differ_are_listed_with_what_came_of_them_in_each_run(
    api: httpx.AsyncClient, group: PlannedGroup
) -> None:
    body = await differences(api, group)
    assert [(item["position"], item["input"], told(item)) for item in body["items"]] == [
        (1, "question 1", [(None, "pass"), ("newly_failing", "fail"), ("unchanged", "pass")]),
        (2, "question 2", [(None, "fail"), ("newly_passing", "pass"), ("unchanged", "fail")]),
        (3, "question 3", [(None, "pass"), ("unchanged", "pass"), ("newly_errored", "error")]),
    ]
    outcome = body["items"][0]["outcomes"][1]
    assert outcome["test_run_id"] == str(group.runs[1].id)
    assert (outcome["result"]["output"], outcome["result"]["reason"]) == ("fail by 1", "why")
    assert outcome["result"]["score"] == 0.5


async def test_differences_come_in_pages_and_by_their_change(api: httpx.AsyncClient, group: PlannedGroup) -> None:
    first = await differences(api, group, limit=2)
    second = await differences(api, group, limit=2, cursor=first["next_cursor"])
    assert [item["position"] for item in first["items"] + second["items"]] == [1, 2, 3]
    assert second["next_cursor"] is None
    some = await differences(api, group, change="newly_failing,newly_errored")
    assert [item["position"] for item in some["items"]] == [1, 3]


async def test_a_run_without_a_test_has_no_result_of_it(
    api: httpx.AsyncClient, admin: psycopg.Connection, group: PlannedGroup
) -> None:
    admin.execute("DELETE FROM test_result WHERE test_run_id = %s AND position = 0", (group.runs[1].id,))
    admin.execute("DELETE FROM test_result WHERE test_run_id = %s AND position = 4", (group.runs[0].id,))
    items = (await differences(api, group, change="only_in_baseline,only_in_run"))["items"]
    assert [(item["position"], told(item)) for item in items] == [
        (0, [(None, "pass"), ("only_in_baseline", None), ("unchanged", "pass")]),
        (4, [(None, None), ("only_in_run", "fail"), ("only_in_run", "fail")]),
    ]


async def test_a_test_that_was_executed_several_times_has_one_outcome_in_each_run(
    api: httpx.AsyncClient, admin: psycopg.Connection, group: PlannedGroup
) -> None:
    admin.execute(
        "INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat, status, output)"
        " SELECT test_run_id, test_id, organization_id, position, 2, CASE position WHEN 0 THEN 'fail' ELSE status END,"
        ' \'{"output": "the second"}\' FROM test_result WHERE test_run_id = %s',
        (group.runs[1].id,),
    )
    first = (await differences(api, group))["items"][0]
    assert (first["position"], told(first)) == (0, [(None, "pass"), ("newly_failing", "fail"), ("unchanged", "pass")])
    result = first["outcomes"][1]["result"]
    assert (result["repeats"], result["passed"], result["output"]) == (2, 1, "the second")


async def test_long_texts_are_cut_off(database: TestDatabase, tenant: Tenant, group: PlannedGroup) -> None:
    async with gateway(database.url, excerpt_length=6) as served, served.client(tenant) as client:
        item = (await differences(client, group))["items"][0]
    assert (item["input"], item["outcomes"][1]["result"]["output"]) == ("questi", "fail b")
