"""Groups of runs over REST: started, read, cancelled, and compared; nothing is executed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.definitions import METRIC, Configured, add_configuration, add_endpoint, add_test_set, created
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Tenant, gateway

QUEUED = "SELECT count(*) FROM broker_message"


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


async def another_configuration(api: httpx.AsyncClient, made: Configured, **fields: Any) -> str:
    endpoint_id = await add_endpoint(api, name="other app")
    body = {"name": "sums on another app", "endpoint_id": endpoint_id, "test_set_id": made.test_set_id}
    return str((await created(api, "/v1/test-configurations", body | fields))["id"])


async def execute(api: httpx.AsyncClient, test_set_id: str, **asked: Any) -> dict[str, Any]:
    response = await api.post(f"/v1/test-sets/{test_set_id}/execute", json=asked)
    assert response.status_code == 202, response.text
    submitted: dict[str, Any] = response.json()
    assert response.headers["location"] == submitted["links"]["self"]
    return submitted


async def refused(api: httpx.AsyncClient, test_set_id: str, **asked: Any) -> list[tuple[str | None, str]]:
    response = await api.post(f"/v1/test-sets/{test_set_id}/execute", json=asked)
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    return [(fault.get("pointer"), fault["detail"]) for fault in response.json()["errors"]]


async def test_executing_makes_a_group_with_a_queued_run_for_each_configuration_and_one_message(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    made = await add_configuration(api)
    ids = [made.configuration_id, await another_configuration(api, made)]
    submitted = await execute(api, made.test_set_id, test_configuration_ids=ids, name="both")
    assert [run["test_configuration_id"] for run in submitted["runs"]] == ids
    group = (await api.get(submitted["links"]["self"])).json()
    assert (group["id"], group["name"], group["status"]) == (submitted["run_group_id"], "both", "queued")
    assert (group["total"], group["finished"], group["comparison"]) == (2, 0, None)
    assert [run["test_run_id"] for run in group["runs"]] == [run["test_run_id"] for run in submitted["runs"]]
    assert group["baseline_test_run_id"] == submitted["runs"][0]["test_run_id"]
    task = (await api.get(group["links"]["task"])).json()
    assert (task["name"], task["status"]) == ("execute_test_set", "PENDING")
    for run in submitted["runs"]:
        told = (await api.get(run["links"]["self"])).json()
        assert (told["status"], told["run_group_id"]) == ("queued", group["id"])
        assert told["links"]["run_group"] == group["links"]["self"]
        task = (await api.get(run["links"]["task"])).json()
        assert (task["name"], task["status"]) == ("execute_test_configuration", "PENDING")
    assert admin.execute(QUEUED).fetchone() == (1,)


async def test_the_task_of_a_run_is_published_under_the_row_it_has(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    made = await add_configuration(api)
    (run,) = (await execute(api, made.test_set_id, endpoint_ids=[made.endpoint_id]))["runs"]
    row = "SELECT state, enqueued, group_id, test_run_id::text FROM task WHERE id = %s"
    assert admin.execute(row, (run["task_id"],)).fetchone() == ("PENDING", False, None, run["test_run_id"])
    names = {"task": "execute_test_configuration", "organization_id": str(tenant.organization_id)}
    headers = {"id": run["task_id"], "group": "chord", **names}
    admin.execute("SELECT broker_publish('celery', %s)", (Jsonb({"headers": headers, "properties": {}}),))
    assert admin.execute(row, (run["task_id"],)).fetchone() == ("PENDING", True, "chord", run["test_run_id"])


async def test_a_run_of_a_group_is_listed_with_it(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")
    submitted = await execute(api, made.test_set_id, test_configuration_ids=[made.configuration_id])
    page = (await api.get("/v1/test-runs", params={"run_group_id": submitted["run_group_id"]})).json()
    assert [run["id"] for run in page["items"]] == [submitted["runs"][0]["test_run_id"]]


async def test_another_of_the_given_can_be_the_baseline(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    other = await another_configuration(api, made)
    ids = [made.configuration_id, other]
    submitted = await execute(api, made.test_set_id, test_configuration_ids=ids, baseline=other)
    group = (await api.get(submitted["links"]["self"])).json()
    assert group["baseline_test_run_id"] == submitted["runs"][1]["test_run_id"]


async def test_endpoints_use_the_configuration_they_have_and_get_one_where_there_is_none(
    api: httpx.AsyncClient,
) -> None:
    metrics = [{"type": "equals"}]
    made = await add_configuration(api, metrics=metrics, concurrency=3)
    other = await add_endpoint(api, name="other app")
    asked = {"endpoint_ids": [other, made.endpoint_id], "configuration": {"metrics": metrics, "concurrency": 3}}
    submitted = await execute(api, made.test_set_id, **asked)
    new, known = (run["test_configuration_id"] for run in submitted["runs"])
    assert known == made.configuration_id
    configuration = (await api.get(f"/v1/test-configurations/{new}")).json()
    assert (configuration["name"], configuration["endpoint_id"]) == ("sums on other app", other)
    assert (configuration["test_set_id"], configuration["concurrency"]) == (made.test_set_id, 3)
    again = await execute(api, made.test_set_id, **asked)
    assert [run["test_configuration_id"] for run in again["runs"]] == [new, known]


async def test_an_archived_configuration_or_another_one_is_not_used_for_an_endpoint(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    asked = {"endpoint_ids": [made.endpoint_id]}
    different = await execute(api, made.test_set_id, **asked, configuration={"mode": "sequential"})
    assert different["runs"][0]["test_configuration_id"] != made.configuration_id
    await api.delete(f"/v1/test-configurations/{made.configuration_id}")
    fresh = await execute(api, made.test_set_id, **asked)
    assert fresh["runs"][0]["test_configuration_id"] != made.configuration_id


async def test_each_configuration_that_cannot_be_used_is_named(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    of_another_set = (await add_configuration(api)).configuration_id
    archived = await another_configuration(api, made)
    await api.delete(f"/v1/test-configurations/{archived}")
    without_endpoint = await another_configuration(api, made)
    endpoint_id = (await api.get(f"/v1/test-configurations/{without_endpoint}")).json()["endpoint_id"]
    await api.delete(f"/v1/endpoints/{endpoint_id}")
    ids = [made.configuration_id, str(uuid4()), of_another_set, archived, without_endpoint]
    assert await refused(api, made.test_set_id, test_configuration_ids=ids) == [
        ("/test_configuration_ids/1", "There is no test configuration with this id."),
        ("/test_configuration_ids/2", "This test configuration is of another test set."),
        ("/test_configuration_ids/3", "This test configuration is archived and can no longer be used."),
        ("/test_configuration_ids/4", "The endpoint of this test configuration is archived."),
    ]
    assert (await api.get("/v1/run-groups")).json()["items"] == []


async def test_each_endpoint_that_cannot_be_used_is_named(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    archived = await add_endpoint(api)
    await api.delete(f"/v1/endpoints/{archived}")
    ids = [str(uuid4()), made.endpoint_id, archived]
    assert await refused(api, made.test_set_id, endpoint_ids=ids) == [
        ("/endpoint_ids/0", "There is no endpoint with this id."),
        ("/endpoint_ids/2", "This endpoint is archived and can no longer be used."),
    ]


ONE, TWO = str(uuid4()), str(uuid4())


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({}, ("", "Give either test_configuration_ids or endpoint_ids.")),
        (
            {"test_configuration_ids": [ONE], "endpoint_ids": [TWO]},
            ("", "Give either test_configuration_ids or endpoint_ids."),
        ),
        ({"endpoint_ids": [ONE, TWO, ONE]}, ("/endpoint_ids", f"The id {ONE} is given twice.")),
        (
            {"test_configuration_ids": [ONE], "configuration": {}},
            ("", "Configuration goes with endpoint_ids; test configurations have one of their own."),
        ),
        ({"endpoint_ids": [ONE], "baseline": TWO}, ("", "The baseline must be one of the endpoint_ids.")),
    ],
)
async def test_what_does_not_go_together_is_refused(
    api: httpx.AsyncClient, asked: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert await refused(api, await add_test_set(api), **asked) == [fault]


async def test_more_runs_than_the_server_allows_are_refused(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, max_runs_per_group=1) as served, served.client(tenant) as api:
        made = await add_configuration(api)
        ids = [made.configuration_id, await another_configuration(api, made)]
        assert await refused(api, made.test_set_id, test_configuration_ids=ids) == [
            ("/test_configuration_ids", "There are 2; at most 1 can be executed at once.")
        ]
        await execute(api, made.test_set_id, test_configuration_ids=ids[:1])


async def test_an_archived_test_set_is_not_executed(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    await api.delete(f"/v1/test-sets/{made.test_set_id}")
    asked = {"test_configuration_ids": [made.configuration_id]}
    response = await api.post(f"/v1/test-sets/{made.test_set_id}/execute", json=asked)
    assert (response.status_code, response.json()["code"]) == (409, "archived")


async def test_nothing_is_executed_that_an_archived_metric_would_judge(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    metric_id = (await created(api, "/v1/metrics", METRIC))["id"]
    metrics = [{"type": "metric", "metric_id": metric_id}]
    configuration_id = await another_configuration(api, made, metrics=metrics)
    await api.delete(f"/v1/metrics/{metric_id}")
    for asked in (
        {"test_configuration_ids": [configuration_id]},
        {"endpoint_ids": [await add_endpoint(api)], "configuration": {"metrics": metrics}},
    ):
        response = await api.post(f"/v1/test-sets/{made.test_set_id}/execute", json=asked)
        assert (response.status_code, response.json()["code"]) == (409, "archived")


async def test_groups_are_listed_the_newest_first_and_by_status_and_test_set(api: httpx.AsyncClient) -> None:
    made, other = await add_configuration(api), await add_configuration(api)
    groups = []
    for of in (made, made, other):
        submitted = await execute(api, of.test_set_id, test_configuration_ids=[of.configuration_id])
        groups.append(submitted["run_group_id"])
    await api.post(f"/v1/run-groups/{groups[0]}/cancel")
    first = (await api.get("/v1/run-groups", params={"limit": 2})).json()
    second = (await api.get("/v1/run-groups", params={"cursor": first["next_cursor"]})).json()
    assert {group["id"] for group in first["items"] + second["items"]} == set(groups)
    assert second["next_cursor"] is None
    assert await listed(api, status="cancelled") == [groups[0]]
    assert await listed(api, test_set_id=other.test_set_id) == [groups[2]]


async def listed(api: httpx.AsyncClient, **query: str) -> list[str]:
    return [group["id"] for group in (await api.get("/v1/run-groups", params=query)).json()["items"]]


async def test_a_group_that_has_not_begun_is_cancelled_with_its_runs_at_once(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    made = await add_configuration(api)
    submitted = await execute(api, made.test_set_id, test_configuration_ids=[made.configuration_id])
    answer = await api.post(submitted["links"]["cancel"])
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert [run["status"] for run in answer.json()["runs"]] == ["cancelled"]
    for task_id in (submitted["task_id"], submitted["runs"][0]["task_id"]):
        assert (await api.get(f"/v1/tasks/{task_id}")).json()["status"] == "REVOKED"
    assert admin.execute(QUEUED).fetchone() == (0,)
    again = await api.post(submitted["links"]["cancel"])
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_cancelling_the_task_of_a_group_cancels_the_group(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    submitted = await execute(api, made.test_set_id, test_configuration_ids=[made.configuration_id])
    answer = await api.post(f"/v1/tasks/{submitted['task_id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert (await api.get(submitted["links"]["self"])).json()["status"] == "cancelled"


async def test_a_purged_queue_cancels_the_group_whose_task_waited_there(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    made = await add_configuration(api)
    submitted = await execute(api, made.test_set_id, test_configuration_ids=[made.configuration_id])
    admin.execute("SELECT purge_queue('celery')")
    group = (await api.get(submitted["links"]["self"])).json()
    assert (group["status"], group["runs"][0]["status"]) == ("cancelled", "cancelled")


async def test_the_tag_changes_with_the_group_and_who_has_it_gets_no_body(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    made = await add_configuration(api)
    path = (await execute(api, made.test_set_id, endpoint_ids=[made.endpoint_id]))["links"]["self"]
    first = await api.get(path)
    known = {"If-None-Match": first.headers["etag"]}
    assert (await api.get(path, headers=known)).status_code == 304
    admin.execute("UPDATE run_group SET status = 'running', started_at = now()")
    changed = await api.get(path, headers=known)
    assert (changed.status_code, changed.json()["status"]) == (200, "running")
    await api.post(f"{path}/cancel")
    ended = await api.get(path, headers={"Prefer": "wait=30"})
    assert (ended.json()["status"], ended.headers["preference-applied"]) == ("cancelled", "wait=30")
