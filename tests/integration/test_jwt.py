"""Tokens of identity providers: which are accepted, whose they are, and what they open for how long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest

from gateway.auth.stream_token import parse_token
from gateway.stream.websocket import UNAUTHORIZED
from tests.integration.test_api_stream_tokens import signing_keys
from tests.integration.token_holders import ED, ES, RS, holding, refusal
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import PATIENCE, Gateway, Tenant, add_tenant, gateway
from tests.stack.identity_provider import IdentityProvider, SigningKey, identity_provider, signing_key

TASK: dict[str, Any] = {"name": "echo"}
AS_STREAM = {"Accept": "text/event-stream"}


# ---------------------------------------------------------------- good tokens
@pytest.mark.parametrize("key", [ES, RS, ED], ids=lambda key: key.algorithm)
async def test_a_token_of_any_usual_kind_is_accepted(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant, key: SigningKey
) -> None:
    async with holding(trusting, key.sign(provider.claims(tenant.organization_id))) as client:
        assert (await client.get("/v1/tasks")).status_code == 200


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "AT+JWT", "JWT", "jwt", None])
async def test_an_access_token_may_say_that_it_is_one(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant, kind: str | None
) -> None:
    token = ES.sign(provider.claims(tenant.organization_id), typ=kind or "")
    async with holding(trusting, token) as client:
        assert (await client.get("/v1/tasks")).status_code == 200


async def test_clocks_may_differ_a_little_and_one_of_several_audiences_is_enough(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    now = int(time.time())
    for others in ({"exp": now - 10}, {"nbf": now + 10, "iat": now + 10}, {"aud": ["other", "gateway"]}):
        async with holding(trusting, provider.token(tenant.organization_id, **others)) as client:
            assert (await client.get("/v1/tasks")).status_code == 200


async def test_what_a_token_may_do_stands_in_it(trusting: Gateway, provider: IdentityProvider, tenant: Tenant) -> None:
    reader = provider.token(tenant.organization_id, scope="openid runs:read")
    async with holding(trusting, reader) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        refused = await client.post("/v1/tasks", json=TASK)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    # The issuer's word is not enough for what crosses organizations.
    operator = provider.token(tenant.organization_id, scope=["admin"])
    async with holding(trusting, operator) as client:
        assert (await client.get("/v1/admin/workers")).status_code == 403


async def test_the_operator_may_let_an_issuer_make_operators_and_their_deeds_are_logged_with_their_names(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = provider.settings(allow_admin=True, scope_claim="groups", scope_map={"sre": "admin"})
    token = provider.token(tenant.organization_id, groups=["sre"])
    with caplog.at_level(logging.INFO):
        async with (
            gateway(database.url, jwt_issuers=[allowed]) as running,
            running.client(tenant) as robot,
            holding(running, token) as client,
        ):
            await robot.post("/v1/tasks", json=TASK)
            assert (await client.post("/v1/admin/queues/celery/purge", json={"confirm": "celery"})).status_code == 200
    (record,) = [record for record in caplog.records if record.getMessage() == "queue_purged"]
    assert record.__dict__["subject"] == "auth0|1"
    assert token not in "".join(f"{one.getMessage()} {vars(one)}" for one in caplog.records)


async def test_a_token_works_for_its_organization_and_sees_no_other(
    trusting: Gateway, provider: IdentityProvider, database: TestDatabase, tenant: Tenant
) -> None:
    other = add_tenant(database)
    async with (
        holding(trusting, provider.token(tenant.organization_id)) as mine,
        holding(trusting, provider.token(other.organization_id)) as theirs,
    ):
        task = (await mine.post("/v1/tasks", json=TASK)).json()
        assert (await mine.get(task["links"]["self"])).status_code == 200
        assert (await theirs.get(task["links"]["self"])).status_code == 404
        assert (await theirs.get(task["links"]["events"])).status_code == 404
        assert (await theirs.get("/v1/tasks")).json()["items"] == []
    with connect(database.admin_url) as admin:
        row = admin.execute("SELECT organization_id, user_id FROM task WHERE id = %s", (task["task_id"],)).fetchone()
    assert row == (tenant.organization_id, None)


async def test_a_user_of_the_organization_is_known_by_the_id_in_the_token(
    trusting: Gateway, provider: IdentityProvider, database: TestDatabase, tenant: Tenant
) -> None:
    with connect(database.admin_url) as admin:
        add = "INSERT INTO app_user (organization_id, name) VALUES (%s, 'Ada') RETURNING id"
        mine, theirs = (admin.execute(add, (one.organization_id,)).fetchone() for one in (tenant, add_tenant(database)))
        assert mine is not None
        assert theirs is not None
        for user_id, expected in ((mine[0], mine[0]), (theirs[0], None), (uuid4(), None)):
            async with holding(trusting, provider.token(tenant.organization_id, sub=str(user_id))) as client:
                task_id = (await client.post("/v1/tasks", json=TASK)).json()["task_id"]
            assert admin.execute("SELECT user_id FROM task WHERE id = %s", (task_id,)).fetchone() == (expected,)


async def test_an_idempotency_key_is_the_organizations_whoever_sends_it(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    once = {"Idempotency-Key": "once"}
    async with (
        holding(trusting, provider.token(tenant.organization_id)) as person,
        holding(trusting, tenant.secret) as robot,
    ):
        first = (await person.post("/v1/tasks", json=TASK, headers=once)).json()
        for client in (person, robot):
            again = await client.post("/v1/tasks", json=TASK, headers=once)
            assert again.headers["idempotent-replayed"] == "true"
            assert again.json()["task_id"] == first["task_id"]


async def test_an_organization_may_be_named_by_name(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant
) -> None:
    acme = add_tenant(database, name="Acme, Inc.")
    by_name = provider.settings(organization_by="name", organization_claim="https://example.com/org")
    async with gateway(database.url, jwt_issuers=[by_name]) as running:
        token = provider.token("", **{"https://example.com/org": "Acme, Inc."})
        async with holding(running, token) as client, running.client(acme) as theirs:
            task = (await client.post("/v1/tasks", json=TASK)).json()
            assert (await theirs.get(task["links"]["self"])).status_code == 200
        # Its id is not its name.
        refused = await refusal(running, provider.token("", **{"https://example.com/org": str(acme.organization_id)}))
        assert (refused.status_code, refused.json()["code"]) == (403, "organization_unknown")


async def test_each_of_several_issuers_vouches_with_its_own_keys_for_its_own_tokens(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant
) -> None:
    with identity_provider(signing_key("other")) as other:
        issuers = [provider.settings(), other.settings(audience=["api", "gateway"], default_scopes=["runs:read"])]
        async with gateway(database.url, jwt_issuers=issuers) as running:
            for token in (provider.token(tenant.organization_id), other.token(tenant.organization_id, aud="api")):
                async with holding(running, token) as client:
                    assert (await client.get("/v1/tasks")).status_code == 200
            forged = ES.sign(other.claims(tenant.organization_id))
            assert "does not publish" in (await refusal(running, forged)).json()["detail"]


# ---------------------------------------------------------------- the issuer comes, goes and changes
async def test_a_token_is_not_called_wrong_while_its_issuer_cannot_be_asked(
    database: TestDatabase, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    with identity_provider() as provider:
        provider.is_down = True
        token = provider.token(tenant.organization_id)
        async with gateway(database.url, jwt_issuers=[provider.settings()], jwt_keys_pause_seconds=0) as running:
            away = await refusal(running, token)
            assert (away.status_code, away.json()["code"]) == (503, "issuer_unavailable")
            assert away.headers["retry-after"] == "1"
            provider.is_down = False
            async with holding(running, token) as client:
                assert (await client.get("/v1/tasks")).status_code == 200
    (record,) = [record for record in caplog.records if record.getMessage() == "issuer_unreachable"]
    assert record.__dict__["issuer"] == provider.issuer
    assert "answers 503" in record.__dict__["reason"]


async def test_known_keys_serve_while_the_issuer_is_away_and_new_ones_need_no_restart(
    database: TestDatabase, tenant: Tenant
) -> None:
    rhythm = {"jwt_keys_max_age_seconds": 1e-6, "jwt_keys_pause_seconds": 0, "jwt_cache_seconds": 0}
    with identity_provider() as provider:
        old = provider.token(tenant.organization_id)
        async with gateway(database.url, jwt_issuers=[provider.settings()], **rhythm) as running:
            for is_down in (False, True):
                provider.is_down = is_down
                async with holding(running, old) as client:
                    assert (await client.get("/v1/tasks")).status_code == 200
            provider.is_down = False
            provider.keys = [signing_key("second")]
            async with holding(running, provider.token(tenant.organization_id)) as client:
                assert (await client.get("/v1/tasks")).status_code == 200
            assert "does not publish" in (await refusal(running, old)).json()["detail"]


async def test_a_verified_token_is_remembered_for_its_time_and_not_longer(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant
) -> None:
    issuer = provider.settings(clock_skew_seconds=0)
    async with gateway(database.url, jwt_issuers=[issuer], jwt_cache_seconds=3600) as running:
        expires_at = int(time.time()) + 2
        async with holding(running, provider.token(tenant.organization_id, exp=expires_at)) as client:
            assert (await client.get("/v1/tasks")).status_code == 200
            while (answer := await client.get("/v1/tasks")).status_code == 200:
                assert time.time() < expires_at + 1
    assert answer.json()["code"] == "jwt_expired"


async def test_a_remembered_token_is_looked_at_again_after_the_time_of_the_cache(
    database: TestDatabase, provider: IdentityProvider
) -> None:
    for seconds, status in ((3600, 200), (0, 403)):
        gone = add_tenant(database)
        async with (
            gateway(database.url, jwt_issuers=[provider.settings()], jwt_cache_seconds=seconds) as running,
            holding(running, provider.token(gone.organization_id)) as client,
        ):
            assert (await client.get("/v1/tasks")).status_code == 200
            with connect(database.admin_url) as admin:
                admin.execute("DELETE FROM organization WHERE id = %s", (gone.organization_id,))
            assert (await client.get("/v1/tasks")).status_code == status


# ---------------------------------------------------------------- streams
async def until_terminal(client: httpx.AsyncClient, database: TestDatabase) -> dict[str, Any]:
    """A submitted task that has ended since."""
    task: dict[str, Any] = (await client.post("/v1/tasks", json=TASK)).json()
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE task SET state = 'REVOKED' WHERE id = %s", (task["task_id"],))
    return task


async def test_a_token_opens_streams_and_makes_stream_tokens(
    trusting: Gateway, provider: IdentityProvider, database: TestDatabase, tenant: Tenant
) -> None:
    other = add_tenant(database)
    async with (
        holding(trusting, provider.token(tenant.organization_id)) as client,
        trusting.client(other) as stranger,
        trusting.client() as anyone,
    ):
        task = await until_terminal(client, database)
        theirs = await until_terminal(stranger, database)
        ticket = (await client.post("/v1/stream-tickets")).json()["ticket"]
        path = task["links"]["events"]
        assert '"type":"snapshot"' in (await client.get(path)).text
        for token in (task["stream_token"], ticket):
            assert '"type":"snapshot"' in (await anyone.get(path, params={"token": token})).text
            assert (await anyone.get(theirs["links"]["events"], params={"token": token})).status_code == 404
            refused = await anyone.get("/v1/tasks", headers={"Authorization": f"Bearer {token}"})
            assert (refused.status_code, refused.json()["code"]) == (403, "stream_token_refused")


async def test_a_stream_token_can_do_no_more_than_the_token_that_made_it(
    trusting: Gateway, provider: IdentityProvider, database: TestDatabase, tenant: Tenant
) -> None:
    async with (
        holding(trusting, provider.token(tenant.organization_id, scope="tasks:submit")) as robot,
        trusting.client() as anyone,
    ):
        task = await until_terminal(robot, database)
        for answer in (
            await robot.get(task["links"]["events"]),
            await anyone.get(task["links"]["events"], params={"token": task["stream_token"]}),
            await robot.post("/v1/stream-tickets"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_a_stream_token_does_not_outlive_the_token_that_made_it(
    database: TestDatabase, provider: IdentityProvider, tenant: Tenant
) -> None:
    async with gateway(database.url, jwt_issuers=[provider.settings(clock_skew_seconds=0)]) as running:
        expires_at = int(time.time()) + 60
        async with holding(running, provider.token(tenant.organization_id, exp=expires_at)) as client:
            for body in ({}, {"ttl_seconds": 3600}):
                ticket = (await client.post("/v1/stream-tickets", json=body)).json()
                assert datetime.fromisoformat(ticket["expires_at"]).timestamp() == expires_at
            task = (await client.post("/v1/tasks", json=TASK)).json()
    (key,) = signing_keys(database)
    assert parse_token(task["stream_token"]).open(key).expires_at == expires_at


def expiring(provider: IdentityProvider, tenant: Tenant) -> tuple[str, int]:
    """A token that is good for a moment, and until when."""
    expires_at = int(time.time()) + 2
    return provider.token(tenant.organization_id, exp=expires_at), expires_at


@pytest.fixture
async def punctual(database: TestDatabase, provider: IdentityProvider) -> AsyncIterator[Gateway]:
    """A gateway that grants no skew of clocks."""
    async with gateway(database.url, jwt_issuers=[provider.settings(clock_skew_seconds=0)]) as running:
        yield running


async def test_streams_end_when_the_token_expires_that_opened_them_or_made_theirs(
    punctual: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    token, expires_at = expiring(provider, tenant)
    async with (
        holding(punctual, token) as client,
        httpx.AsyncClient(base_url=punctual.url, timeout=PATIENCE, trust_env=False) as streams,
    ):
        ticket = (await client.post("/v1/stream-tickets")).json()["ticket"]
        for ended in await asyncio.gather(
            streams.get("/v1/events", headers=AS_STREAM | {"Authorization": f"Bearer {token}"}),
            streams.get("/v1/events", headers=AS_STREAM, params={"token": ticket}),
        ):
            assert ended.status_code == 200
            assert ended.text.rstrip().rpartition("\n\n")[2].startswith("event: unauthorized")
        assert time.time() >= expires_at
        assert (await client.get("/v1/events", headers=AS_STREAM)).json()["code"] == "jwt_expired"


async def test_a_websocket_closes_when_its_token_expires(
    punctual: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    token, expires_at = expiring(provider, tenant)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{punctual.url}/v1/ws", headers=headers) as ws:
        await ws.send_json({"type": "subscribe", "id": "all", "to": "/v1/events"})
        assert (await ws.receive_json())["type"] == "subscribed"
        while (message := await ws.receive(PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            pass
    assert (ws.close_code, message.type) == (UNAUTHORIZED, aiohttp.WSMsgType.CLOSE)
    assert time.time() >= expires_at


async def test_a_wait_ends_when_its_token_expires(
    punctual: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    token, _ = expiring(provider, tenant)
    async with holding(punctual, token) as client:
        task = (await client.post("/v1/tasks", json=TASK)).json()
        answer = await client.get(task["links"]["self"], headers={"Prefer": "wait=30"})
    assert (answer.status_code, answer.json()["code"]) == (401, "jwt_expired")
