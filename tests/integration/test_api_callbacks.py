"""`callback_url` on whatever submits a run or a group: its end is told there, once, and to nobody else."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.contract import contract
from tests.definitions import Configured, add_configuration
from tests.integration.test_api_webhook_endpoints import ENDPOINTS, make, refused
from tests.integration.test_webhook_outbox import only
from tests.postgres import TestDatabase
from tests.records import act_for, connect, plan
from tests.rest import Tenant, gateway
from tests.webhooks import deliveries

URL = "https://ci.example.com/builds/417/done?token=x"
ORIGIN = "https://ci.example.com"
REPETITIONS = ("retry", "rerun", "rescore")


@pytest.fixture
def admin(database: TestDatabase, tenant: Tenant) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        act_for(connection, tenant.organization_id)
        yield connection


@pytest.fixture
async def configured(api: httpx.AsyncClient) -> Configured:
    return await add_configuration(api, metrics=[])


def ended_run(admin: psycopg.Connection, tenant: Tenant) -> UUID:
    run = plan(admin, tenant.organization_id, 1)
    admin.execute("UPDATE test_result SET status = 'fail' WHERE test_run_id = %s", (run.id,))
    admin.execute("UPDATE test_run SET status = 'partial', finished_at = now() WHERE id = %s", (run.id,))
    return run.id


def settle(admin: psycopg.Connection, submitted: dict[str, Any]) -> None:
    """End what was submitted, which could not be planned."""
    admin.execute("UPDATE task SET state = 'FAILURE', finished_at = now() WHERE id = %s", (submitted["task_id"],))


def execution_of(configured: Configured) -> str:
    return f"/v1/test-configurations/{configured.configuration_id}/execute"


async def execute(api: httpx.AsyncClient, configured: Configured, **asked: Any) -> dict[str, Any]:
    response = await api.post(execution_of(configured), json=asked)
    assert response.status_code == 202, response.text
    submitted: dict[str, Any] = response.json()
    return submitted


async def execute_group(api: httpx.AsyncClient, configured: Configured, **asked: Any) -> dict[str, Any]:
    body = {"test_configuration_ids": [configured.configuration_id]} | asked
    response = await api.post(f"/v1/test-sets/{configured.test_set_id}/execute", json=body)
    assert response.status_code == 202, response.text
    submitted: dict[str, Any] = response.json()
    return submitted


async def endpoints(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(ENDPOINTS)).json()["items"]
    return items


def count(admin: psycopg.Connection, table: str) -> int:
    (row,) = admin.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
    return int(row[0])


# ---------------------------------------------------------------- who is told
async def test_the_end_of_a_run_is_told_to_its_callback_and_each_subscription_in_the_transaction_that_settles_it(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    asked_for = [["test_run.*"], ["*"], ["test_run.failed"], ["test_run.completed"], ["run_group.*", "task.*"]]
    made = [(await make(api, event_types=kinds))["id"] for kinds in asked_for]
    submitted = await execute(api, configured, callback_url=URL)
    callback_id = submitted["links"]["callback"].rpartition("/")[2]
    with admin.transaction(force_rollback=True):
        settle(admin, submitted)
        assert len(deliveries(admin)) == 4
    assert deliveries(admin) == []
    settle(admin, submitted)
    told = {str(row["webhook_endpoint_id"]): row for row in deliveries(admin)}
    assert told.keys() == {callback_id, *made[:3]}
    assert {row["event_type"] for row in told.values()} == {"test_run.failed"}
    assert {row["subject_id"] for row in told.values()} == {submitted["test_run_id"]}
    assert {key: row["callback_url"] for key, row in told.items()} == {callback_id: URL} | dict.fromkeys(made[:3])
    assert len({json.dumps(row["payload"], sort_keys=True) for row in told.values()}) == 1
    assert contract().payload_errors(told[callback_id]["payload"]) == []


async def test_a_run_without_a_callback_calls_nobody_back(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    first = await execute(api, configured, callback_url=URL)
    for asked in ({}, {"callback_url": None}):
        submitted = await execute(api, configured, **asked)
        assert "callback" not in submitted["links"]
        settle(admin, submitted)
    assert deliveries(admin) == []
    settle(admin, first)
    assert only(deliveries(admin))["subject_id"] == first["test_run_id"]


async def test_the_end_of_a_group_is_told_and_not_that_of_its_runs(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    submitted = await execute_group(api, configured, callback_url=URL)
    (endpoint,) = await endpoints(api)
    assert submitted["links"]["callback"] == endpoint["links"]["self"]
    settle(admin, submitted)
    assert count(admin, "test_run") == 1
    delivery = only(deliveries(admin))
    assert (delivery["subject_id"], delivery["callback_url"]) == (submitted["run_group_id"], URL)
    assert delivery["event_type"].startswith("run_group.")
    assert contract().payload_errors(delivery["payload"]) == []


@pytest.mark.parametrize("verb", REPETITIONS)
async def test_a_run_made_of_another_calls_back_where_it_is_told_and_not_where_that_one_did(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, verb: str
) -> None:
    source = ended_run(admin, tenant)
    called = (await api.post(f"/v1/test-runs/{source}/{verb}", json={"callback_url": URL})).json()
    settle(admin, called)
    delivery = only(deliveries(admin))
    assert (delivery["subject_id"], delivery["callback_url"]) == (called["test_run_id"], URL)
    silent = (await api.post(f"/v1/test-runs/{source}/{verb}")).json()
    assert "callback" not in silent["links"]
    settle(admin, silent)
    assert len(deliveries(admin)) == 1


@pytest.mark.parametrize("asked", [{}, {"repeats": 3, "max_failures": None}])
async def test_where_it_calls_back_is_no_option_of_the_run(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured, asked: dict[str, Any]
) -> None:
    await execute(api, configured, callback_url=URL, **asked)
    ((body,),) = admin.execute("SELECT message->>'body' FROM broker_message").fetchall()
    assert json.loads(base64.b64decode(body))[1] == ({"overrides": asked} if asked else {})


# ---------------------------------------------------------------- its endpoint
async def test_one_endpoint_serves_all_addresses_of_an_origin(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    urls = [URL, "https://CI.example.com:443/other", "https://ci.example.com", "https://ci.example.com:8443/done"]
    links = [(await execute(api, configured, callback_url=url))["links"]["callback"] for url in urls]
    assert links[0] == links[1] == links[2] != links[3]
    assert {endpoint["url"] for endpoint in await endpoints(api)} == {ORIGIN, "https://ci.example.com:8443"}
    for endpoint in await endpoints(api):
        assert (endpoint["kind"], endpoint["event_types"]) == ("callback", [])
        assert (await api.get(endpoint["links"]["secret"])).json()["secret"].startswith("whsec_")
    rows = admin.execute("SELECT callback_url FROM test_run ORDER BY id").fetchall()
    assert [url for (url,) in rows] == urls


async def test_submissions_at_once_make_one_endpoint(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    answers = await asyncio.gather(*(execute(api, configured, callback_url=f"{ORIGIN}/{n}") for n in range(8)))
    assert len({answer["links"]["callback"] for answer in answers}) == 1
    assert (count(admin, "webhook_endpoint"), count(admin, "test_run")) == (1, 8)


async def test_a_subscription_of_the_same_origin_is_another_endpoint(
    api: httpx.AsyncClient, configured: Configured
) -> None:
    made = await make(api, url=ORIGIN)
    submitted = await execute(api, configured, callback_url=URL)
    assert submitted["links"]["callback"] != made["links"]["self"]


async def test_a_run_whose_callback_was_removed_ends_and_the_next_one_gets_another(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    submitted = await execute(api, configured, callback_url=URL)
    assert (await api.delete(submitted["links"]["callback"])).status_code == 204
    settle(admin, submitted)
    assert (await api.get(submitted["links"]["self"])).json()["status"] == "failed"
    assert deliveries(admin) == []
    assert (await execute(api, configured, callback_url=URL))["links"]["callback"] != submitted["links"]["callback"]


async def test_what_a_disabled_callback_misses_can_be_recovered(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    submitted = await execute(api, configured, callback_url=URL)
    path = submitted["links"]["callback"]
    await api.patch(path, json={"enabled": False})
    assert (await execute(api, configured, callback_url=URL))["links"]["callback"] == path
    settle(admin, submitted)
    assert only(deliveries(admin))["status"] == "skipped"
    await api.patch(path, json={"enabled": True})
    assert (await api.post(f"{path}/recover", json={"since": "2020-01-01T00:00:00Z"})).json()["recovered"] == 1
    assert only(deliveries(admin))["callback_url"] == URL


# ---------------------------------------------------------------- refused
async def test_a_repeated_submission_is_the_same_and_one_with_another_callback_is_not(
    api: httpx.AsyncClient, admin: psycopg.Connection, configured: Configured
) -> None:
    once = {"Idempotency-Key": "once"}
    first, second = [
        await api.post(execution_of(configured), json={"callback_url": URL}, headers=once) for _ in range(2)
    ]
    assert first.json()["links"] == second.json()["links"]
    assert (count(admin, "webhook_endpoint"), count(admin, "test_run")) == (1, 1)
    other = await api.post(execution_of(configured), json={"callback_url": f"{URL}y"}, headers=once)
    refused(other, 422, "idempotency_key_reused")


async def test_one_origin_too_many_is_refused_and_nothing_is_submitted(
    database: TestDatabase, tenant: Tenant, admin: psycopg.Connection
) -> None:
    async with gateway(database.url, max_webhook_endpoints=1) as running, running.client(tenant) as client:
        configured = await add_configuration(client)
        await make(client)  # A subscription is of another kind.
        await execute(client, configured, callback_url=URL)
        response = await client.post(execution_of(configured), json={"callback_url": "https://other.example.com/"})
        assert "1 webhook endpoints" in refused(response, 409, "too_many_webhook_endpoints")
        assert count(admin, "test_run") == 1
        await execute(client, configured, callback_url=URL)


async def test_without_a_key_to_seal_with_nobody_can_be_called_back(
    database: TestDatabase, tenant: Tenant, admin: psycopg.Connection
) -> None:
    async with gateway(database.url, secret_keys=()) as running, running.client(tenant) as client:
        configured = await add_configuration(client)
        response = await client.post(execution_of(configured), json={"callback_url": URL})
        assert "GATEWAY_SECRET_KEYS" in refused(response, 422, "secrets_unavailable")
        assert response.json()["errors"][0]["pointer"] == "/callback_url"
        assert (count(admin, "webhook_endpoint"), count(admin, "test_run")) == (0, 0)
        await execute(client, configured)


async def test_who_may_only_run_may_name_a_callback_but_not_read_its_secret(
    database: TestDatabase, tenant: Tenant, api: httpx.AsyncClient, configured: Configured
) -> None:
    key = {"name": "ci", "scopes": ["runs:read", "runs:write"]}
    secret = (await api.post("/v1/api-keys", json=key)).json()["secret"]
    weak = {"Authorization": f"Bearer {secret}"}
    answer = await api.post(execution_of(configured), json={"callback_url": URL}, headers=weak)
    assert answer.status_code == 202
    refused(await api.get(f"{answer.json()['links']['callback']}/secret", headers=weak), 403, "scope_missing")
