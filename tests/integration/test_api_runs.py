"""Runs over REST: executing a configuration, and reading what came of it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb

from tests.definitions import add_configuration
from tests.postgres import TestDatabase
from tests.records import PlannedRun, act_for, connect, plan
from tests.rest import Tenant

RESULTS = ("pass", "pass", "fail", "error", "unscored", "pending")


@pytest.fixture
def run(database: TestDatabase, tenant: Tenant) -> PlannedRun:
    """A run of six tests, five of which have ended."""
    with connect(database.admin_url) as admin:
        planned = plan(admin, tenant.organization_id, len(RESULTS))
        act_for(admin, tenant.organization_id)
        for test_id, status in zip(planned.test_ids, RESULTS, strict=True):
            admin.execute(
                "UPDATE test_result SET status = %s, finished_at = now(), latency_ms = 12.5, attempts = 1,"
                " output = '{\"output\": \"x\"}' WHERE test_run_id = %s AND test_id = %s AND %s <> 'pending'",
                (status, planned.id, test_id, status),
            )
    return planned


async def test_executing_makes_a_queued_run_and_its_task_with_its_message(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    made = await add_configuration(api)
    response = await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")
    submitted = response.json()
    assert (response.status_code, submitted["status"]) == (202, "queued")
    run = (await api.get(response.headers["location"])).json()
    assert (run["id"], run["task_id"]) == (submitted["test_run_id"], submitted["task_id"])
    assert (run["status"], run["total"], run["pass_rate"]) == ("queued", None, None)
    task = (await api.get(run["links"]["task"])).json()
    assert (task["name"], task["status"]) == ("execute_test_configuration", "PENDING")
    assert task["links"]["test_run"] == run["links"]["self"]
    with connect(database.admin_url) as admin:
        row = admin.execute("SELECT message->'headers', deadline_at FROM broker_message, test_run").fetchone()
    assert row is not None
    headers, deadline_at = row
    assert (headers["id"], headers["test_run_id"]) == (run["task_id"], run["id"])
    assert timedelta(hours=23) < deadline_at - datetime.now(UTC) <= timedelta(hours=24)


async def test_an_empty_object_may_be_sent_and_nothing_that_is_not_known(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    path = f"/v1/test-configurations/{made.configuration_id}/execute"
    assert (await api.post(path, json={})).status_code == 202
    assert (await api.post(path, json={"fast": True})).json()["code"] == "validation_failed"


async def test_the_task_is_told_what_this_run_has_otherwise_than_its_configuration(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    made = await add_configuration(api, repeats=2, max_failures=5)
    body = {"repeats": 3, "sample": {"random": 10, "tags": ["smoke"]}, "max_failures": None, "mode": "sequential"}
    submitted = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute", json=body)).json()
    with connect(database.admin_url) as admin:
        row = admin.execute(
            "SELECT message->>'body' FROM broker_message WHERE task_id = %s", (submitted["task_id"],)
        ).fetchone()
    assert row is not None
    assert json.loads(base64.b64decode(row[0]))[1] == {"overrides": body}
    assert (await api.get(submitted["links"]["self"])).json()["settings"] is None


async def test_a_request_that_names_a_default_is_another_one(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api, repeats=2)
    path, headers = f"/v1/test-configurations/{made.configuration_id}/execute", {"Idempotency-Key": "once"}
    assert (await api.post(path, json={}, headers=headers)).status_code == 202
    other = await api.post(path, json={"repeats": 1}, headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"repeats": 0}, "/repeats", "greater than or equal to 1"),
        ({"repeats": 101}, "/repeats", "less than or equal to 100"),
        ({"max_failures": 0}, "/max_failures", "greater than or equal to 1"),
        ({"max_failures": 2**31}, "/max_failures", "less than or equal to 1000000"),
        ({"sample": {}}, "/sample", "Say which tests"),
        ({"sample": {"first": 1, "random": 1}}, "/sample", "not both"),
        ({"sample": {"first": 1, "seed": 1}}, "/sample", "A seed goes with random"),
        ({"sample": {"tags": []}}, "/sample/tags", "at least 1 item"),
        ({"sample": {"tags": ["a,b"]}}, "/sample/tags/0", "pattern"),
        ({"repeats": None}, "/repeats", "valid integer"),
    ],
)
async def test_what_a_run_cannot_have_is_refused_where_it_stands(
    api: httpx.AsyncClient, body: dict[str, Any], pointer: str, detail: str
) -> None:
    made = await add_configuration(api)
    response = await api.post(f"/v1/test-configurations/{made.configuration_id}/execute", json=body)
    assert response.status_code == 422
    (fault,) = response.json()["errors"]
    assert fault["pointer"] == pointer
    assert detail in fault["detail"]


async def test_a_run_tells_its_settings(api: httpx.AsyncClient, database: TestDatabase, run: PlannedRun) -> None:
    options = {"mode": "parallel", "concurrency": 4, "repeats": 2, "max_failures": None}
    sample = {"first": None, "random": 5, "seed": 7, "tags": ["smoke"]}
    for stored, told in [
        (options | {"sample": sample, "metrics": []}, options | {"sample": sample}),
        ({"mode": "sequential", "concurrency": 1}, {"mode": "sequential", "concurrency": 1, "repeats": 1}),
    ]:
        with connect(database.admin_url) as admin:
            act_for(admin, run.organization_id)
            admin.execute("UPDATE test_run SET snapshot = %s", (Jsonb({"configuration": stored}),))
        settings = (await api.get(f"/v1/test-runs/{run.id}")).json()["settings"]
        assert settings == {"sample": None, "max_failures": None} | told


async def test_the_results_of_a_test_come_one_after_the_other_in_pages(
    api: httpx.AsyncClient, database: TestDatabase, run: PlannedRun
) -> None:
    with connect(database.admin_url) as admin:
        act_for(admin, run.organization_id)
        admin.execute(
            "INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat)"
            " SELECT test_run_id, test_id, organization_id, position, 2 FROM test_result WHERE position < 3"
        )
    found, cursor = [], None
    while not found or cursor is not None:
        query = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.get(f"/v1/test-runs/{run.id}/results", params=query)).json()
        found += [(result["position"], result["repeat"]) for result in page["items"]]
        cursor = page["next_cursor"]
    assert found == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 1), (5, 1)]


async def test_counts_and_the_pass_rate_are_answered(api: httpx.AsyncClient, run: PlannedRun) -> None:
    body = (await api.get(f"/v1/test-runs/{run.id}")).json()
    counts = {name: body[name] for name in ("total", "pending", "passed", "failed", "errored", "cancelled", "unscored")}
    assert counts == {
        "total": 6,
        "pending": 1,
        "passed": 2,
        "failed": 1,
        "errored": 1,
        "cancelled": 0,
        "unscored": 1,
    }
    assert body["pass_rate"] == 0.5
    assert body["finished_at"] is None


async def test_results_come_in_the_order_of_the_tests(api: httpx.AsyncClient, run: PlannedRun) -> None:
    first = (await api.get(f"/v1/test-runs/{run.id}/results?limit=4")).json()
    second = (await api.get(f"/v1/test-runs/{run.id}/results", params={"cursor": first["next_cursor"]})).json()
    results = first["items"] + second["items"]
    assert [result["status"] for result in results] == list(RESULTS)
    assert [result["input"] for result in results] == [f"question {number}" for number in range(6)]
    assert results[0]["latency_ms"] == 12.5
    assert second["next_cursor"] is None


async def test_results_can_be_filtered_by_several_statuses(api: httpx.AsyncClient, run: PlannedRun) -> None:
    page = (await api.get(f"/v1/test-runs/{run.id}/results?status=fail,error")).json()
    assert [result["position"] for result in page["items"]] == [2, 3]


async def test_results_can_be_filtered_by_their_tests(
    api: httpx.AsyncClient, database: TestDatabase, run: PlannedRun
) -> None:
    path, (first, _, third, *_) = f"/v1/test-runs/{run.id}/results", run.test_ids
    with connect(database.admin_url) as admin:
        act_for(admin, run.organization_id)
        admin.execute(
            "INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat)"
            " SELECT test_run_id, test_id, organization_id, position, 2 FROM test_result WHERE test_id = %s",
            (third,),
        )

    async def found(**query: str | int) -> list[tuple[str, int]]:
        page = (await api.get(path, params=query)).json()
        assert page["next_cursor"] is None
        return [(result["test_id"], result["repeat"]) for result in page["items"]]

    asked = f"{third},{first},{first}"
    assert await found(test_id=asked) == [(str(first), 1), (str(third), 1), (str(third), 2)]
    assert await found(test_id=f"{first},{third}", status="fail") == [(str(third), 1)]
    assert await found(test_id=str(uuid4())) == []
    begun = (await api.get(path, params={"test_id": asked, "limit": 2})).json()["next_cursor"]
    assert await found(test_id=asked, cursor=begun) == [(str(third), 2)]
    assert await found(test_id=",".join(str(uuid4()) for _ in range(100))) == []
    for wrong in ("", "x", f"{first},", ",".join(str(uuid4()) for _ in range(101))):
        refused = await api.get(path, params={"test_id": wrong})
        assert refused.status_code == 422
        assert {fault["parameter"] for fault in refused.json()["errors"]} == {"test_id"}


async def test_runs_can_be_filtered_by_status_and_configuration(api: httpx.AsyncClient, run: PlannedRun) -> None:
    made = await add_configuration(api)
    queued = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()["test_run_id"]
    everything = [item["id"] for item in (await api.get("/v1/test-runs")).json()["items"]]
    assert set(everything) == {queued, str(run.id)}
    assert await _ids(api, status="queued") == [queued]
    assert await _ids(api, test_configuration_id=made.configuration_id) == [queued]
    assert await _ids(api, status="failed") == []


async def _ids(api: httpx.AsyncClient, **query: str) -> list[str]:
    return [item["id"] for item in (await api.get("/v1/test-runs", params=query)).json()["items"]]
