"""What a key has opened ends within a second of the key's end, whoever ended it and however the gateway hears of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from gateway.app import create_app
from gateway.auth.keyring import create_key, open_keyring, replace_key, revoke_key
from gateway.stream.hub import End, Hub
from tests.integration.streams import Writer, eventually, writer
from tests.integration.test_websocket import connected
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import PATIENCE, Gateway, Tenant, gateway, gateway_settings
from workerapp.contract.events import KEY_CHANNEL
from workerapp.db.address import DatabaseAddress

#: What is promised, in seconds from the commit.
PROMISE = 1.0
UNAUTHORIZED = 4401

Ending = Callable[[psycopg.Connection, UUID], object]


def by_revoking(keyring: psycopg.Connection, key_id: UUID) -> None:
    assert revoke_key(keyring, key_id)


def by_expiry(keyring: psycopg.Connection, key_id: UUID) -> None:
    keyring.execute("UPDATE api_key SET expires_at = now() WHERE id = %s", (key_id,))


def by_replacing(keyring: psycopg.Connection, key_id: UUID) -> None:
    replace_key(keyring, key_id, timedelta(0))


def by_removing(keyring: psycopg.Connection, key_id: UUID) -> None:
    keyring.execute("DELETE FROM api_key WHERE id = %s", (key_id,))


def by_other_scopes(keyring: psycopg.Connection, key_id: UUID) -> None:
    keyring.execute("UPDATE api_key SET scopes = '{runs:read}' WHERE id = %s", (key_id,))


def end_key(database: TestDatabase, key_id: UUID, how: Ending = by_revoking) -> float:
    """When it was committed."""
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        how(keyring, key_id)
    return time.monotonic()


@asynccontextmanager
async def stream(
    served: Gateway, path: str, bearer: str | None = None, **parameters: str
) -> AsyncGenerator[AsyncIterator[str]]:
    """The lines of a stream, behind its snapshot."""
    headers = {"Accept": "text/event-stream"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    async with (
        httpx.AsyncClient(base_url=served.url, headers=headers, timeout=PATIENCE, trust_env=False) as client,
        client.stream("GET", path, params=parameters) as response,
    ):
        assert response.status_code == 200
        lines = response.aiter_lines()
        while '"type":"snapshot"' not in await anext(lines):
            pass
        assert await anext(lines) == ""
        yield lines


async def last_words(lines: AsyncIterator[str]) -> list[str]:
    """The rest of a stream, to its end."""
    async with asyncio.timeout(PATIENCE):
        return [line async for line in lines if line]


def assert_unauthorized(lines: list[str]) -> None:
    assert lines[-2] == "event: unauthorized"
    assert set(json.loads(lines[-1].removeprefix("data: "))) == {"cursor"}


@pytest.fixture
async def task(api: httpx.AsyncClient) -> dict[str, Any]:
    made: dict[str, Any] = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    return made


@pytest.mark.parametrize("how", [by_revoking, by_expiry, by_replacing, by_removing, by_other_scopes])
async def test_streams_sockets_and_waits_of_a_key_end_within_a_second_of_its_end(  # noqa: PLR0917 - fixtures
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, task: dict[str, Any], how: Ending
) -> None:
    events = task["links"]["events"]
    async with (
        stream(served, events, tenant.secret) as of_task,
        stream(served, "/v1/events", tenant.secret) as of_organization,
        connected(served, tenant) as socket,
    ):
        await socket.subscribe("a", events)
        waiting = asyncio.create_task(api.get(task["links"]["self"], headers={"Prefer": "wait=30"}))
        hub: Hub = served.app.state.hub
        await eventually(lambda: len(hub) == 4)
        committed = end_key(database, tenant.key_id, how)
        first, second, code, waited = await asyncio.gather(
            last_words(of_task), last_words(of_organization), socket.until_closed(), waiting
        )
        assert time.monotonic() - committed < PROMISE
    for lines in (first, second):
        assert_unauthorized(lines)
    assert code == UNAUTHORIZED
    assert (waited.status_code, waited.json()["code"]) == (401, "key_invalid")
    assert len(hub) == 0


async def test_what_tokens_have_opened_ends_with_the_key_that_made_them(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, task: dict[str, Any]
) -> None:
    ticket = (await api.post("/v1/stream-tickets")).json()["ticket"]
    protocols = ("gateway.v1", f"token.{ticket}")
    async with (
        stream(served, task["links"]["events"], token=task["stream_token"]) as of_task,
        stream(served, "/v1/events", token=ticket) as of_organization,
        connected(served, protocols=protocols) as socket,
    ):
        await socket.subscribe("a", "/v1/events")
        committed = end_key(database, tenant.key_id)
        first, second, code = await asyncio.gather(
            last_words(of_task), last_words(of_organization), socket.until_closed()
        )
        assert time.monotonic() - committed < PROMISE
    for lines in (first, second):
        assert_unauthorized(lines)
    assert code == UNAUTHORIZED


async def test_streams_of_other_keys_go_on(
    served: Gateway, database: TestDatabase, tenant: Tenant, task: dict[str, Any]
) -> None:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        other = create_key(keyring, tenant.organization_id, "other")
        longer = create_key(keyring, tenant.organization_id, "longer")
        brief = datetime.now(UTC) + timedelta(hours=1)
        keyring.execute("UPDATE api_key SET expires_at = %s WHERE id = %s", (brief, longer.id))
    events = task["links"]["events"]
    async with (
        stream(served, events, other.secret) as staying,
        stream(served, events, longer.secret) as renewed,
        stream(served, events, tenant.secret) as ending,
    ):
        # More time for a key, or another name, ends nothing.
        with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
            keyring.execute("UPDATE api_key SET expires_at = NULL WHERE id = %s", (longer.id,))
            keyring.execute("UPDATE api_key SET name = 'new' WHERE id = %s", (other.id,))
        end_key(database, tenant.key_id)
        assert_unauthorized(await last_words(ending))
        with connect(database.admin_url) as admin:
            admin.execute("UPDATE task SET state = 'REVOKED' WHERE id = %s", (task["task_id"],))
        for lines in (staying, renewed):
            assert '"type":"task.revoked"' in (await last_words(lines))[-1]


@pytest.mark.parametrize("shortened", ["as made", "shortened"])
async def test_a_key_that_expires_ends_what_it_has_open_also_when_its_time_was_shortened_meanwhile(
    served: Gateway, database: TestDatabase, tenant: Tenant, task: dict[str, Any], shortened: str
) -> None:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        is_shortened = shortened == "shortened"
        seconds = 3600 if is_shortened else 1.5
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        key = create_key(keyring, tenant.organization_id, "brief", expires_at=ends)
    mine = Tenant(organization_id=tenant.organization_id, key_id=key.id, secret=key.secret)
    async with stream(served, task["links"]["events"], key.secret) as lines, connected(served, mine) as socket:
        await socket.subscribe("a", "/v1/events")
        if is_shortened:
            ends = datetime.now(UTC) + timedelta(seconds=1)
            with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
                keyring.execute("UPDATE api_key SET expires_at = %s WHERE id = %s", (ends, key.id))
        said, code = await asyncio.gather(last_words(lines), socket.until_closed())
        late = (datetime.now(UTC) - ends).total_seconds()
    assert_unauthorized(said)
    assert code == UNAUTHORIZED
    assert -0.1 < late < PROMISE


async def test_a_ticket_that_expires_ends_what_it_has_open(
    served: Gateway, api: httpx.AsyncClient, task: dict[str, Any]
) -> None:
    # Its time is cut to whole seconds, and the stream has to begin within it.
    ticket = (await api.post("/v1/stream-tickets", json={"ttl_seconds": 3})).json()
    async with stream(served, task["links"]["events"], token=ticket["ticket"]) as lines:
        assert_unauthorized(await last_words(lines))
    assert datetime.now(UTC) - datetime.fromisoformat(ticket["expires_at"]) < timedelta(seconds=PROMISE)


async def test_a_key_that_was_revoked_while_the_gateway_could_not_hear_is_found_out_when_it_can_again(
    served: Gateway, database: TestDatabase, tenant: Tenant, task: dict[str, Any]
) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("ALTER TABLE api_key DISABLE TRIGGER api_key_changed")
    async with (
        stream(served, task["links"]["events"], tenant.secret) as lines,
        connected(served, tenant) as socket,
        writer(database, tenant.organization_id) as ours,
    ):
        await socket.subscribe("a", "/v1/events")
        end_key(database, tenant.key_id)
        await end_tail(ours)
        said, code = await asyncio.gather(last_words(lines), socket.until_closed())
    # What the tail may have missed is said first; a stream that hears of both ends for the one or the other.
    assert said[-2] in ("event: unauthorized", "event: lagged")
    assert code == UNAUTHORIZED


async def end_tail(ours: Writer) -> None:
    await ours.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'gateway-tail' AND datname = current_database()"
    )


async def test_what_anybody_may_notify_ends_nothing(
    served: Gateway, database: TestDatabase, tenant: Tenant, task: dict[str, Any]
) -> None:
    async with stream(served, task["links"]["events"], tenant.secret) as lines:
        with connect(database.url, "worker_rw") as anybody:
            for payload in (str(tenant.key_id), "", "nonsense"):
                anybody.execute("SELECT pg_notify(%s, %s)", (KEY_CHANNEL, payload))
        with connect(database.admin_url) as admin:
            admin.execute("UPDATE task SET state = 'REVOKED' WHERE id = %s", (task["task_id"],))
        assert '"type":"task.revoked"' in (await last_words(lines))[-1]


async def test_a_key_that_ends_between_the_look_at_it_and_the_stream_ends_the_stream(
    database: TestDatabase, tenant: Tenant
) -> None:
    """The caller was let in before the revocation, and opens the stream when everybody has been told of it."""
    app = create_app(gateway_settings(database.url, key_cache_seconds=3600))
    async with app.router.lifespan_context(app) as state:
        services = state["services"]
        caller = await services.keys.find(tenant.secret)
        assert services.keys.knows(caller)
        end_key(database, tenant.key_id)
        await eventually(lambda: not services.keys.knows(caller))
        with (
            services.hub.subscribe(organization_id=caller.organization_id) as subscription,
            services.key_watch.hold(caller, subscription.refuse),
        ):
            await eventually(lambda: subscription.end is End.UNAUTHORIZED)


async def test_a_key_that_was_read_before_its_revocation_is_not_remembered_after_it(
    database: TestDatabase, tenant: Tenant
) -> None:
    app = create_app(gateway_settings(database.url, key_cache_seconds=3600))
    async with app.router.lifespan_context(app) as state:
        keys = state["services"].keys
        looked = asyncio.create_task(keys.find(tenant.secret))
        while not looked.done():
            keys.forget(tenant.key_id)
            await asyncio.sleep(0)
        assert looked.result().key_id == tenant.key_id
        assert not keys.knows(looked.result())


async def test_a_removed_user_takes_the_keys_along(
    served: Gateway, database: TestDatabase, tenant: Tenant, task: dict[str, Any]
) -> None:
    with connect(database.admin_url) as admin:
        made = "INSERT INTO app_user (organization_id, name) VALUES (%s, 'Ada') RETURNING id"
        ((user_id,),) = admin.execute(made, (tenant.organization_id,)).fetchall()
        admin.execute("UPDATE api_key SET user_id = %s WHERE id = %s", (user_id, tenant.key_id))
        async with stream(served, task["links"]["events"], tenant.secret) as lines:
            admin.execute("DELETE FROM app_user WHERE id = %s", (user_id,))
            assert_unauthorized(await last_words(lines))


async def test_a_gateway_without_keys_says_how_to_make_the_first_one(
    database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(database.url):
        (record,) = [record for record in caplog.records if record.getMessage() == "no_api_keys"]
    assert "gateway keys create --organization" in record.__dict__["hint"]


async def test_a_gateway_with_a_key_has_nothing_to_say_about_it(
    database: TestDatabase, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(database.url):
        assert "no_api_keys" not in [record.getMessage() for record in caplog.records]
