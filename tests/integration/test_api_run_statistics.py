"""What a run's results add up to."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedRun, act_for, connect, plan
from tests.rest import Tenant, gateway

EXACT: dict[str, Any] = {"name": "exact", "type": "equals", "score": 1.0, "passed": True}
WRONG: dict[str, Any] = EXACT | {"score": 0.0, "passed": False}
CLOSE: dict[str, Any] = {"name": "close", "type": "contains_all", "score": 0.5, "passed": False}
CANNOT: dict[str, Any] = CLOSE | {"score": None, "passed": None}
REFUSED = {"code": "http_status", "message": "the endpoint answered HTTP 500"}

#: status, latency in milliseconds, HTTP status, error, scores
RESULTS: list[tuple[str, float | None, int | None, dict[str, Any] | None, list[dict[str, Any]] | None]] = [
    ("pass", 10, 200, None, [EXACT]),
    ("fail", 20, 200, None, [WRONG, CLOSE]),
    ("error", 30, 200, {"code": "not_judged", "message": "no"}, [EXACT, CANNOT]),
    ("error", 40, 500, REFUSED, None),
    ("error", None, None, {"code": "connect_failed", "message": "no"}, None),
    ("unscored", 50, 201, None, []),
    ("cancelled", None, None, None, None),
]


@pytest.fixture
def run(database: TestDatabase, tenant: Tenant) -> PlannedRun:
    """A run of one test more than have ended."""
    with connect(database.admin_url) as admin:
        planned = plan(admin, tenant.organization_id, len(RESULTS) + 1, started_at="2026-01-05T09:00:00Z")
        act_for(admin, tenant.organization_id)
        for test_id, result in zip(planned.test_ids, RESULTS, strict=False):
            _end(admin, planned, test_id, *result)
    return planned


async def test_a_run_in_numbers(api: httpx.AsyncClient, run: PlannedRun) -> None:
    body = (await api.get(f"/v1/test-runs/{run.id}/statistics")).json()
    counts = {name: body[name] for name in ("total", "pending", "passed", "failed", "errored", "cancelled", "unscored")}
    assert counts == {"total": 8, "pending": 1, "passed": 1, "failed": 1, "errored": 3, "cancelled": 1, "unscored": 1}
    assert body["judged"] == {
        "tests": 2,
        "passed": 1,
        "pass_rate": 0.5,
        "confidence": 0.95,
        "lower": 0.094531,
        "upper": 0.905469,
    }
    assert body["latency_ms"] == {
        "tests": 5,
        "mean": 30,
        "p50": 30,
        "p90": 46,
        "p95": 48,
        "p99": 49.6,
        "max": 50,
    }
    assert body["http_statuses"] == [
        {"http_status": 200, "tests": 3},
        {"http_status": 201, "tests": 1},
        {"http_status": 500, "tests": 1},
    ]
    assert {group["code"]: group["tests"] for group in body["error_codes"]} == {
        "not_judged": 1,
        "http_status": 1,
        "connect_failed": 1,
    }


async def test_every_metric_is_counted_by_itself(api: httpx.AsyncClient, run: PlannedRun) -> None:
    body = (await api.get(f"/v1/test-runs/{run.id}/statistics")).json()
    assert body["metrics"] == [
        {"name": "exact", "type": "equals", "passed": 2, "failed": 1, "unjudged": 0, "mean_score": 0.666667},
        {"name": "close", "type": "contains_all", "passed": 0, "failed": 1, "unjudged": 1, "mean_score": 0.5},
    ]


async def test_tests_are_counted_by_their_tags_the_most_frequent_first(
    database: TestDatabase, api: httpx.AsyncClient, run: PlannedRun
) -> None:
    tags = [["sums", "hard"], ["sums"], ["sums"], [], ["hard"], ["easy"], ["gone"]]
    with connect(database.admin_url) as admin:
        act_for(admin, run.organization_id)
        for test_id, of_test in zip(run.test_ids, tags, strict=False):
            admin.execute("UPDATE test SET tags = %s WHERE id = %s", (of_test, test_id))
    body = (await api.get(f"/v1/test-runs/{run.id}/statistics")).json()
    assert [
        [group[name] for name in ("tag", "tests", "passed", "failed", "errored", "pass_rate")] for group in body["tags"]
    ] == [["sums", 3, 1, 1, 1, 0.5], ["hard", 2, 1, 0, 1, 1.0], ["easy", 1, 0, 0, 0, None]]
    sums, hard, easy = body["tags"]
    assert (sums["lower"], sums["upper"]) == (0.094531, 0.905469)
    assert (round(hard["lower"], 3), hard["upper"]) == (0.207, 1)
    assert (easy["lower"], easy["upper"]) == (None, None)
    assert body["repeats"] is None


async def test_tests_that_pass_now_and_fail_then_are_told(
    database: TestDatabase, tenant: Tenant, api: httpx.AsyncClient
) -> None:
    run = _repeated(database, tenant, "ppp", "pfp", "fff", "ffp", "pep", "eee", "ccc")
    with connect(database.admin_url) as admin:
        turns = Jsonb([{"input": "sum?"}, {"input": "twice?"}])
        admin.execute("UPDATE test SET input = 'null', turns = %s WHERE id = %s", (turns, run.test_ids[3]))
    body = (await api.get(f"/v1/test-runs/{run.id}/statistics")).json()["repeats"]
    flaky = body.pop("flaky_tests")
    assert body == {"tests": 5, "always_passed": 2, "always_failed": 1, "flaky": 2}
    assert flaky == [
        {"test_id": str(run.test_ids[at]), "position": at, "input": asked, "judged": 3}
        | {"passed": passed, "pass_rate": rate}
        for at, asked, passed, rate in ((3, '["sum?", "twice?"]', 1, 0.333333), (1, "question 1", 2, 0.666667))
    ]


async def test_lists_are_as_long_as_the_server_allows(database: TestDatabase, tenant: Tenant) -> None:
    run = _repeated(database, tenant, "ppf", "pff", "pff")
    with connect(database.admin_url) as admin:
        act_for(admin, tenant.organization_id)
        admin.execute("UPDATE test SET tags = ARRAY['a', 'b', 'c'], input = '\"a long question\"'")
    settings = {"max_statistics_groups": 2, "excerpt_length": 6}
    async with gateway(database.url, **settings) as served, served.client(tenant) as client:
        body = (await client.get(f"/v1/test-runs/{run.id}/statistics")).json()
    assert [group["tag"] for group in body["tags"]] == ["a", "b"]
    assert [test["position"] for test in body["repeats"]["flaky_tests"]] == [1, 2]
    assert (body["repeats"]["flaky"], body["repeats"]["flaky_tests"][0]["input"]) == (3, "a long")


async def test_the_rate_of_execution_is_that_of_all_tests_with_a_result(
    api: httpx.AsyncClient, database: TestDatabase, run: PlannedRun
) -> None:
    with connect(database.admin_url) as admin:
        act_for(admin, run.organization_id)
        admin.execute(
            "UPDATE test_run SET status = 'partial', finished_at = started_at + interval '2 seconds' WHERE id = %s",
            (run.id,),
        )
    body = (await api.get(f"/v1/test-runs/{run.id}/statistics")).json()
    assert (body["duration_seconds"], body["tests_per_second"]) == (2, 3)


async def test_a_run_without_a_result_has_no_rates(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    with connect(database.admin_url) as admin:
        waiting = plan(admin, tenant.organization_id, 2)
    body = (await api.get(f"/v1/test-runs/{waiting.id}/statistics")).json()
    assert body["judged"] == {
        "tests": 0,
        "passed": 0,
        "confidence": 0.95,
        "pass_rate": None,
        "lower": None,
        "upper": None,
    }
    assert (body["latency_ms"], body["metrics"], body["tests_per_second"]) == (None, [], None)


_LETTERS = {"p": "pass", "f": "fail", "e": "error", "c": "cancelled"}


def _repeated(database: TestDatabase, tenant: Tenant, *tests: str) -> PlannedRun:
    """A run whose tests ended so, each repeat as a letter says."""
    snapshot = {"configuration": {"repeats": len(tests[0])}}
    with connect(database.admin_url) as admin:
        run = plan(admin, tenant.organization_id, len(tests), snapshot=Jsonb(snapshot))
        act_for(admin, tenant.organization_id)
        for position, (test_id, outcomes) in enumerate(zip(run.test_ids, tests, strict=True)):
            for repeat, letter in enumerate(outcomes, start=1):
                admin.execute(
                    "INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat, status)"
                    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (test_run_id, test_id, repeat)"
                    " DO UPDATE SET status = excluded.status",
                    (run.id, test_id, tenant.organization_id, position, repeat, _LETTERS[letter]),
                )
    return run


def _end(admin: psycopg.Connection, run: PlannedRun, test_id: Any, *result: Any) -> None:
    status, latency, http_status, error, scores = result
    admin.execute(
        "UPDATE test_result SET status = %s, latency_ms = %s, http_status = %s, error = %s, scores = %s,"
        " finished_at = now() WHERE test_run_id = %s AND test_id = %s",
        (
            *(status, latency, http_status, error and Jsonb(error)),
            *(None if scores is None else Jsonb({"scores": scores}), run.id, test_id),
        ),
    )
