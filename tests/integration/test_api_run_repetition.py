"""Asking for a run again."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.postgres import TestDatabase
from tests.records import PlannedRun, act_for, connect, plan
from tests.rest import Tenant

STATUSES = ("pass", "fail", "error")


@pytest.fixture
def run(database: TestDatabase, tenant: Tenant) -> PlannedRun:
    """A run that has ended."""
    return _ended(database, tenant, *STATUSES)


@pytest.mark.parametrize(("verb", "source"), [("retry", "rerun_of"), ("rerun", "rerun_of"), ("rescore", "rescore_of")])
async def test_a_run_made_of_another_one_is_queued_and_names_it(
    api: httpx.AsyncClient, run: PlannedRun, verb: str, source: str
) -> None:
    response = await api.post(f"/v1/test-runs/{run.id}/{verb}")
    submitted = response.json()
    assert (response.status_code, submitted["status"]) == (202, "queued")
    assert submitted["stream_token"].startswith("tst_")
    made = (await api.get(response.headers["location"])).json()
    assert {name: made[name] for name in ("rerun_of", "rescore_of")} == {
        "rerun_of": None,
        "rescore_of": None,
        source: str(run.id),
    }
    assert (await api.get(f"/v1/test-runs/{run.id}")).json()["status"] == "partial"


@pytest.mark.parametrize(
    ("verb", "body", "repetition"),
    [
        ("retry", None, {"kind": "tests", "statuses": ["fail", "error"]}),
        ("retry", {"statuses": ["error"]}, {"kind": "tests", "statuses": ["error"]}),
        ("rerun", {}, {"kind": "tests", "statuses": None}),
        ("rescore", None, {"kind": "answers", "metrics": None}),
        ("rescore", {"metrics": []}, {"kind": "answers", "metrics": []}),
    ],
)
async def test_the_task_is_told_what_to_repeat(
    api: httpx.AsyncClient, database: TestDatabase, run: PlannedRun, *, verb: str, body: Any, repetition: dict[str, Any]
) -> None:
    made = (await api.post(f"/v1/test-runs/{run.id}/{verb}", json=body)).json()
    assert _message_of(database, made["task_id"])["repetition"] == repetition | {"source_id": str(run.id)}


async def test_the_same_idempotency_key_makes_one_run(api: httpx.AsyncClient, run: PlannedRun) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await api.post(f"/v1/test-runs/{run.id}/rerun", headers=headers)
    second = await api.post(f"/v1/test-runs/{run.id}/rerun", headers=headers)
    assert second.headers["idempotent-replayed"] == "true"
    assert first.json()["test_run_id"] == second.json()["test_run_id"]
    other = await api.post(f"/v1/test-runs/{run.id}/retry", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("verb", ["retry", "rerun", "rescore"])
async def test_a_run_that_goes_on_cannot_be_repeated(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, verb: str
) -> None:
    with connect(database.admin_url) as admin:
        running = plan(admin, tenant.organization_id, 1)
    response = await api.post(f"/v1/test-runs/{running.id}/{verb}")
    assert (response.status_code, response.json()["code"]) == (409, "run_not_ended")


@pytest.mark.parametrize(
    ("statuses", "verb"), [(["pass"], "retry"), ([], "rerun"), ([], "rescore"), (["cancelled"], "rescore")]
)
async def test_a_run_without_such_tests_is_not_made(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, statuses: list[str], verb: str
) -> None:
    source = _ended(database, tenant, *statuses)
    response = await api.post(f"/v1/test-runs/{source.id}/{verb}")
    assert (response.status_code, response.json()["code"]) == (409, "nothing_to_run")
    assert len((await api.get("/v1/test-runs")).json()["items"]) == 1


async def test_an_archived_endpoint_is_not_asked_again_but_its_answers_can_be_judged(
    api: httpx.AsyncClient, database: TestDatabase, run: PlannedRun
) -> None:
    with connect(database.admin_url) as admin:
        act_for(admin, run.organization_id)
        admin.execute("UPDATE endpoint SET archived_at = now()")
        admin.execute("UPDATE test_set SET archived_at = now()")
    for verb, status in (("retry", 409), ("rerun", 409), ("rescore", 202)):
        assert (await api.post(f"/v1/test-runs/{run.id}/{verb}")).status_code == status


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("retry", {"statuses": []}, "/statuses"),
        ("retry", {"statuses": ["pass"]}, "/statuses/0"),
        ("rerun", {"fast": True}, "/fast"),
        ("rescore", {"metrics": [{"type": "nonsense"}]}, "/metrics/0"),
    ],
)
async def test_what_cannot_be_repeated_is_refused_where_it_stands(
    api: httpx.AsyncClient, run: PlannedRun, verb: str, body: dict[str, Any], pointer: str
) -> None:
    response = await api.post(f"/v1/test-runs/{run.id}/{verb}", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer


def _ended(database: TestDatabase, tenant: Tenant, *statuses: str) -> PlannedRun:
    with connect(database.admin_url) as admin:
        planned = plan(admin, tenant.organization_id, len(statuses))
        act_for(admin, tenant.organization_id)
        for test_id, status in zip(planned.test_ids, statuses, strict=True):
            admin.execute("UPDATE test_result SET status = %s WHERE test_id = %s", (status, test_id))
        admin.execute("UPDATE test_run SET status = 'partial', finished_at = now() WHERE id = %s", (planned.id,))
    return planned


def _message_of(database: TestDatabase, task_id: str) -> dict[str, Any]:
    """The keyword arguments that wait for a worker."""
    with connect(database.admin_url) as admin:
        row = admin.execute("SELECT message FROM broker_message WHERE task_id = %s", (task_id,)).fetchone()
    assert row is not None
    arguments: dict[str, Any] = json.loads(base64.b64decode(row[0]["body"]))[1]
    return arguments
