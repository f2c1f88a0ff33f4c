"""What a run's results add up to."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedRun, act_for, connect, plan
from tests.rest import Tenant

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
