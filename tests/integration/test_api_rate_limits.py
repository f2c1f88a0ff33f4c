"""How many requests an organization, a key and an address may make; the clock of the limits is set by hand."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest

from gateway.auth.keyring import create_key, open_keyring
from tests.clock import Clock
from tests.integration.test_api_metrics import scrape
from tests.integration.test_websocket import Socket, connected
from tests.integration.token_holders import holding
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, add_tenant, gateway
from tests.stack.identity_provider import IdentityProvider
from workerapp.db.address import DatabaseAddress

#: One request a second, and three at once.
SLOW = {"requests_per_second": 1, "burst": 3}
TASKS = "/v1/tasks"


def plans(**fields: Any) -> dict[str, Any]:
    return {"plans": {"default": SLOW | fields}}


def set_plan(database: TestDatabase, tenant: Tenant, plan: str) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE organization SET plan = %s WHERE id = %s", (plan, tenant.organization_id))


async def flood(client: httpx.AsyncClient, requests: int) -> httpx.Response:
    """All at once; the one that is refused, of which there must be one."""
    responses = await asyncio.gather(*(client.get(TASKS) for _ in range(requests)))
    (refused,) = [response for response in responses if response.status_code != 200]
    return refused


async def test_an_organization_that_floods_is_refused_and_another_is_not_touched(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with (
        gateway(database.url, Clock(), **plans()) as served,
        served.client(tenant) as loud,
        served.client(add_tenant(database)) as quiet,
    ):
        refused = await flood(loud, 4)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert "1 requests a second, and 3 at once" in refused.json()["detail"]
        assert (await quiet.get(TASKS)).headers["ratelimit"] == '"organization";r=2;t=1'
        values = await scrape(served)
    assert values["gateway_limits_reached_total organization_requests"] == 1
    assert values["gateway_limits_reached_total key_requests"] == 0


async def test_every_answer_to_a_known_caller_tells_how_much_is_left(database: TestDatabase, tenant: Tenant) -> None:
    few = add_tenant(database, ["runs:read"])
    async with gateway(database.url, Clock(), **plans()) as served, served.client(few) as api:
        answers = [await api.get(TASKS), await api.get(f"{TASKS}/none"), await api.post(TASKS, json={"name": "echo"})]
        refused = await api.get(TASKS)
        assert [answer.status_code for answer in answers] == [200, 404, 403]
        assert [answer.headers["ratelimit"] for answer in (*answers, refused)] == [
            f'"organization";r={left};t={seconds}' for left, seconds in ((2, 1), (1, 2), (0, 3), (0, 1))
        ]
        assert {answer.headers["ratelimit-policy"] for answer in (*answers, refused)} == {'"organization";q=3;w=3'}
    async with gateway(database.url) as served, served.client() as stranger:
        for answer in (await stranger.get(TASKS), await stranger.get("/healthz")):
            assert "ratelimit" not in answer.headers


async def test_after_the_time_that_is_told_a_request_is_admitted_and_not_before(
    database: TestDatabase, tenant: Tenant
) -> None:
    clock = Clock()
    limits = plans(requests_per_second=0.25)
    async with gateway(database.url, clock, **limits) as served, served.client(tenant) as api:
        refused = await flood(api, 4)
        assert refused.headers["retry-after"] == "4"
        clock.now += 3.9
        assert (await api.get(TASKS)).headers["retry-after"] == "1"
        clock.now += 0.1
        assert (await api.get(TASKS)).status_code == 200
        assert (await api.get(TASKS)).status_code == 429


async def test_a_key_may_have_a_limit_of_its_own_and_leaves_the_other_keys_of_its_organization_theirs(
    database: TestDatabase, tenant: Tenant
) -> None:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        key = create_key(keyring, tenant.organization_id, "second")
    second = Tenant(organization_id=tenant.organization_id, key_id=key.id, secret=key.secret)
    limits = plans(burst=3, key_requests_per_second=0.5, key_burst=2)
    async with (
        gateway(database.url, Clock(), **limits) as served,
        served.client(tenant) as api,
        served.client(second) as other,
    ):
        refused = await flood(api, 3)
        assert refused.json()["detail"].startswith("This key may make 0.5 requests a second, and 2 at once")
        assert refused.headers["retry-after"] == "2"
        assert refused.headers["ratelimit"] == '"organization";r=1;t=2, "key";r=0;t=2'
        assert refused.headers["ratelimit-policy"] == '"organization";q=3;w=3, "key";q=2;w=4'
        assert (await other.get(TASKS)).headers["ratelimit"] == '"organization";r=0;t=3, "key";r=1;t=2'
        both = await api.get(TASKS)
        assert (both.status_code, both.headers["retry-after"]) == (429, "2")
        values = await scrape(served)
    assert values["gateway_limits_reached_total key_requests"] == 2


async def test_the_tokens_of_an_identity_provider_count_by_whom_they_speak_for(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant
) -> None:
    limits = plans(key_requests_per_second=1, key_burst=1) | {"jwt_issuers": [provider.settings()]}
    async with (
        gateway(database.url, Clock(), **limits) as served,
        holding(served, provider.token(tenant.organization_id, sub="ada")) as ada,
        holding(served, provider.token(tenant.organization_id, sub="ada", jti="2")) as again,
        holding(served, provider.token(tenant.organization_id, sub="bob")) as bob,
    ):
        statuses = [(await client.get(TASKS)).status_code for client in (ada, again, bob)]
    assert statuses == [200, 429, 200]


async def test_opening_a_stream_counts_and_so_does_each_subscription_of_a_websocket(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, Clock(), **plans()) as served, served.client(tenant) as api:
        async with connected(served, tenant) as socket:
            for name in ("one", "two"):
                assert (await answered(socket, name))["type"] == "subscribed"
            refused = await answered(socket, "three")
        assert (refused["type"], refused["id"], refused["error"]["code"]) == ("error", "three", "rate_limited")
        stream = await api.get("/v1/events", headers={"Accept": "text/event-stream"})
        assert (stream.status_code, stream.headers["retry-after"]) == (429, "1")


async def test_a_plan_is_applied_when_the_time_that_the_last_one_is_remembered_is_over(
    database: TestDatabase, tenant: Tenant
) -> None:
    clock = Clock()
    limits = {"plans": {"small": SLOW}, "plan_cache_seconds": 5}
    async with gateway(database.url, clock, **limits) as served, served.client(tenant) as api:
        assert (await api.get(TASKS)).headers["ratelimit-policy"] == '"organization";q=10000;w=5'
        set_plan(database, tenant, "small")
        clock.now += 4.9
        assert (await api.get(TASKS)).headers["ratelimit-policy"] == '"organization";q=10000;w=5'
        clock.now += 0.1
        assert (await api.get(TASKS)).headers["ratelimit-policy"] == '"organization";q=3;w=3'


async def test_a_plan_that_the_server_does_not_know_is_the_default_one_and_is_logged_once(
    database: TestDatabase, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    set_plan(database, tenant, "gone")
    limits = plans(burst=30) | {"plan_cache_seconds": 0}
    async with gateway(database.url, Clock(), **limits) as served, served.client(tenant) as api:
        with caplog.at_level(logging.WARNING, "gateway.quotas.plan_finder"):
            for _ in range(2):
                assert (await api.get(TASKS)).headers["ratelimit-policy"] == '"organization";q=30;w=30'
    (record,) = [record for record in caplog.records if record.message == "plan_unknown"]
    assert vars(record)["plan"] == "gone"


async def test_an_operator_gives_an_organization_another_plan_of_those_there_are(
    database: TestDatabase, tenant: Tenant
) -> None:
    operator = add_tenant(database, ["admin"])
    path = f"/v1/admin/organizations/{tenant.organization_id}"
    async with gateway(database.url, plans={"small": SLOW}) as served, served.client(operator) as admin:
        before = (await admin.get(path)).json()
        wrong = await admin.patch(path, json={"plan": "large"})
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/plan")
        assert "default, small" in wrong.json()["detail"]
        assert (await admin.patch(path, json={"plan": "small"})).json() == before | {"plan": "small"}
        assert (await admin.patch(path, json={"name": "acme"})).json() == before | {"plan": "small", "name": "acme"}
        assert before["plan"] == "default"


async def test_a_plan_may_have_smaller_bodies_test_sets_and_fewer_streams_than_the_server(
    database: TestDatabase, tenant: Tenant
) -> None:
    small = {"plans": {"default": {"max_body_bytes": 1024, "max_tests_per_set": 2, "open_streams": 1}}}
    test = {"input": "1 + 1", "expected": "2"}
    async with gateway(database.url, **small) as served, served.client(tenant) as api:
        long = json.dumps({"name": "echo", "args": ["x" * 2000]}).encode()
        for body in (long, parts(long)):
            response = await api.post(TASKS, content=body, headers={"Content-Type": "application/json"})
            assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
            assert "1024 bytes, which is your organization's limit" in response.json()["detail"]
        assert (await api.post("/v1/test-sets", json={"name": "two", "tests": [test] * 2})).status_code == 201
        response = await api.post("/v1/test-sets", json={"name": "three", "tests": [test] * 3})
        assert (response.status_code, response.json()["code"]) == (422, "too_many_tests")
        async with connected(served, tenant) as socket:
            assert (await answered(socket, "one"))["type"] == "subscribed"
            refused = await answered(socket, "two")
    assert refused["error"]["code"] == "too_many_streams"
    assert "has 1 streams open" in refused["error"]["detail"]


async def answered(socket: Socket, name: str) -> dict[str, Any]:
    """What is answered to a subscription of this name."""
    message = await socket.subscribe(name, "/v1/events")
    while message["type"] not in ("subscribed", "error"):
        message = await socket.next()
    return message


async def parts(body: bytes) -> Any:
    """A body whose length nobody declares."""
    yield body[:500]
    yield body[500:]


# ---------------------------------------------------------------- who is not known
async def test_an_address_may_try_so_many_wrong_keys_and_good_ones_that_are_known_come_through(
    database: TestDatabase, tenant: Tenant
) -> None:
    clock, newcomer = Clock(), add_tenant(database)
    limits = {"failed_attempts_per_second": 0.5, "failed_attempts_burst": 2}
    async with gateway(database.url, clock, **limits) as served, served.client(tenant) as api:
        assert (await api.get(TASKS)).status_code == 200
        for credential in ("tsg_aaaaaaaa_bbbb", "tst_aaaa"):
            assert await tried(served, credential) == (401, None)
        assert await tried(served, "tsg_aaaaaaaa_cccc") == (429, "2")
        assert await tried(served, newcomer.secret) == (429, "2")
        assert (await api.get(TASKS)).status_code == 200
        values = await scrape(served)
        clock.now += 2
        assert await tried(served, newcomer.secret) == (200, None)
    assert values["gateway_limits_reached_total failed_attempts"] == 2


async def test_a_token_of_an_identity_provider_that_is_known_comes_through_too(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant
) -> None:
    limits = {"failed_attempts_burst": 1, "jwt_issuers": [provider.settings()]}
    known, new = (provider.token(tenant.organization_id, jti=name) for name in "ab")
    async with gateway(database.url, Clock(), **limits) as served:
        statuses = [(await tried(served, token))[0] for token in (known, known + "x", known, new)]
    assert statuses == [200, 401, 200, 429]


async def test_who_sends_no_key_has_not_failed(database: TestDatabase) -> None:
    async with gateway(database.url, Clock(), failed_attempts_burst=1) as served, served.client() as client:
        for _ in range(3):
            assert (await client.get(TASKS)).status_code == 401
        assert await tried(served, "tsg_aaaaaaaa_bbbb") == (401, None)
        refused = await client.get("/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failed_attempts")
        assert (await client.get("/healthz")).status_code == 200


async def test_addresses_are_told_apart_by_what_the_proxy_says_and_ipv6_ones_by_their_network(
    database: TestDatabase,
) -> None:
    async with gateway(database.url, Clock(), failed_attempts_burst=1) as served, served.client() as client:
        client.headers["Authorization"] = "Bearer tsg_aaaaaaaa_bbbb"
        statuses = [
            (await client.get(TASKS, headers={"X-Forwarded-For": address})).status_code
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::2")
        ]
    assert statuses == [401, 401, 429, 401, 429, 401]


async def tried(served: Gateway, credential: str) -> tuple[int, str | None]:
    path = "/v1/events" if credential.startswith("tst_") else TASKS
    async with served.client() as client:
        response = await client.get(path, headers={"Authorization": f"Bearer {credential}"})
    return response.status_code, response.headers.get("retry-after")
