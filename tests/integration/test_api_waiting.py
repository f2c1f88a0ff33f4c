"""Conditional requests and `Prefer: wait`: a task or a run when it has ended or changed, without asking in turns."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import httpx
import pytest

from gateway.stream.hub import Hub
from gateway.stream.settings import StreamSettings
from tests.definitions import add_configuration
from tests.integration.streams import PATIENCE, eventually
from tests.integration.test_api_events import finish
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, add_tenant, gateway

#: Longer than any client here has patience: a wait that is not ended by what a test does fails the test.
WAIT = {"Prefer": "wait=30"}


@pytest.fixture
async def task(api: httpx.AsyncClient) -> str:
    """The path of a task that waits in its queue."""
    return str((await api.post("/v1/tasks", json={"name": "echo"})).headers["location"])


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def hub_of(served: Gateway) -> Hub:
    hub: Hub = served.app.state.hub
    return hub


async def begin(
    served: Gateway, client: httpx.AsyncClient, path: str, tag: str | None = None
) -> asyncio.Task[httpx.Response]:
    """A request that waits: its subscription is at rest."""
    headers = WAIT if tag is None else WAIT | {"If-None-Match": tag}
    asked = asyncio.create_task(client.get(path, headers=headers))
    hub, before = hub_of(served), len(hub_of(served))
    await eventually(lambda: asked.done() or (len(hub) > before and _all_rest(hub)))
    assert not asked.done()
    return asked


def _all_rest(hub: Hub) -> bool:
    return all(subscription.is_attached for members in hub._subscriptions.values() for subscription in members)


async def answered(asked: asyncio.Task[httpx.Response]) -> httpx.Response:
    return await asyncio.wait_for(asked, PATIENCE)


async def test_the_tag_is_the_number_of_the_latest_event_and_who_has_it_gets_no_body(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, task: str
) -> None:
    first = await api.get(task)
    assert (first.headers["etag"], first.json()["seq"]) == ('W/"1"', 1)
    assert (first.headers["cache-control"], first.headers["vary"]) == ("no-store", "Prefer")
    for known in ('W/"1"', '"1"', 'W/"0", W/"1"', "*"):
        same = await api.get(task, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", 'W/"1"')
        assert "preference-applied" not in same.headers
    finish(database, tenant, id_of(task), "STARTED")
    changed = await api.get(task, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"], changed.json()["status"]) == (200, 'W/"2"', "STARTED")


async def test_what_has_ended_is_answered_at_once(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, task: str
) -> None:
    finish(database, tenant, id_of(task), "STARTED", "SUCCESS")
    ended = await api.get(task, headers=WAIT)
    assert (ended.status_code, ended.json()["status"]) == (200, "SUCCESS")
    assert ended.headers["preference-applied"] == "wait=30"
    known = await api.get(task, headers=WAIT | {"If-None-Match": ended.headers["etag"]})
    assert (known.status_code, known.content, known.headers["preference-applied"]) == (304, b"", "wait=30")


async def test_the_end_of_a_task_answers_who_waits_for_it(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, task: str
) -> None:
    asked = await begin(served, api, task)
    finish(database, tenant, id_of(task), "STARTED", "SUCCESS")
    response = await answered(asked)
    assert (response.status_code, response.json()["status"]) == (200, "SUCCESS")
    assert (response.headers["etag"], response.headers["preference-applied"]) == ('W/"3"', "wait=30")


async def test_the_end_of_a_run_answers_who_waits_for_it(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await add_configuration(api)
    run = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()
    path, task_id = run["links"]["self"], run["task_id"]
    tag = (await api.get(path)).headers["etag"]
    # An id may be written in capitals, too.
    waits = [
        await begin(served, api, f"/v1/test-runs/{run['test_run_id'].upper()}"),
        await begin(served, api, path, tag),
    ]
    finish(database, tenant, task_id, "FAILURE")
    for asked in waits:
        response = await answered(asked)
        assert (response.status_code, response.json()["status"]) == (200, "failed")
        assert response.headers["etag"] != tag
    assert (await api.get(path, headers={"If-None-Match": response.headers["etag"]})).status_code == 304


async def test_any_change_answers_who_knows_what_was_before(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, task: str
) -> None:
    asked = await begin(served, api, task, 'W/"1"')
    finish(database, tenant, id_of(task), "STARTED")
    changed = await answered(asked)
    assert (changed.status_code, changed.json()["status"]) == (200, "STARTED")
    stale = await api.get(task, headers=WAIT | {"If-None-Match": 'W/"1"'})
    assert (stale.status_code, stale.headers["etag"]) == (200, 'W/"2"')


async def test_when_the_time_is_up_the_answer_is_how_it_is(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, wait_max_seconds=1) as served, served.client(tenant) as client:
        path = (await client.post("/v1/tasks", json={"name": "echo"})).headers["location"]
        long = {"Prefer": "respond-async, wait=999999"}
        asked = [client.get(path, headers=long | more) for more in ({}, {"If-None-Match": 'W/"1"'})]
        pending, same = await asyncio.gather(*asked)
        assert len(hub_of(served)) == 0
    assert (pending.status_code, pending.json()["status"]) == (200, "PENDING")
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", 'W/"1"')
    assert pending.headers["preference-applied"] == same.headers["preference-applied"] == "wait=1"


@pytest.mark.parametrize("prefer", ["wait=soon", "wait", "wait=-1", "return=minimal", 'a="wait=30'])
async def test_a_wait_that_makes_no_sense_is_ignored(api: httpx.AsyncClient, task: str, prefer: str) -> None:
    response = await api.get(task, headers={"Prefer": prefer})
    assert (response.status_code, response.json()["status"]) == (200, "PENDING")
    assert "preference-applied" not in response.headers


async def test_a_wait_can_be_switched_off(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, wait_max_seconds=0) as served, served.client(tenant) as client:
        path = (await client.post("/v1/tasks", json={"name": "echo"})).headers["location"]
        response = await client.get(path, headers=WAIT)
    assert (response.json()["status"], response.headers["preference-applied"]) == ("PENDING", "wait=0")


async def test_a_wait_too_many_is_answered_at_once_and_says_so(database: TestDatabase, tenant: Tenant) -> None:
    few = StreamSettings(max_streams_per_organization=1)
    async with gateway(database.url, stream=few) as served, served.client(tenant) as client:
        path = (await client.post("/v1/tasks", json={"name": "echo"})).headers["location"]
        asked = await begin(served, client, path)
        response = await client.get(path, headers=WAIT)
        assert (response.status_code, response.json()["status"]) == (200, "PENDING")
        assert "preference-applied" not in response.headers
        finish(database, tenant, id_of(path), "REVOKED")
        assert (await answered(asked)).headers["preference-applied"] == "wait=30"


async def test_what_is_somebody_elses_is_not_waited_for(served: Gateway, database: TestDatabase, task: str) -> None:
    async with served.client(add_tenant(database)) as stranger:
        for headers in (WAIT, WAIT | {"If-None-Match": 'W/"1"'}, WAIT | {"If-None-Match": "*"}):
            response = await stranger.get(task, headers=headers)
            assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert len(hub_of(served)) == 0


async def test_waits_hold_no_connection_to_the_database(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, pool_size=1, pool_overflow=0) as served, served.client(tenant) as client:
        path = (await client.post("/v1/tasks", json={"name": "echo"})).headers["location"]
        waits = [await begin(served, client, path) for _ in range(3)]
        assert (await client.get(path)).json()["status"] == "PENDING"
        finish(database, tenant, id_of(path), "REVOKED")
        assert [(await answered(asked)).json()["status"] for asked in waits] == ["REVOKED"] * 3


async def test_a_gateway_that_stops_answers_those_who_wait(database: TestDatabase, tenant: Tenant) -> None:
    async with AsyncExitStack() as clients:
        async with gateway(database.url) as served:
            client = await clients.enter_async_context(served.client(tenant))
            path = (await client.post("/v1/tasks", json={"name": "echo"})).headers["location"]
            waits = [await begin(served, client, path), await begin(served, client, path, 'W/"1"')]
        assert [(await answered(asked)).status_code for asked in waits] == [200, 304]


async def test_a_client_that_leaves_is_no_longer_waited_for(
    served: Gateway, api: httpx.AsyncClient, task: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await begin(served, api, task)
    with caplog.at_level(logging.INFO, "gateway.access"):
        asked.cancel()
        await eventually(lambda: len(hub_of(served)) == 0)
        await eventually(lambda: caplog.records)
    assert [(record.path, record.status) for record in caplog.records] == [(task, 499)]
