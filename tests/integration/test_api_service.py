"""The gateway and its database: refused roles, a database that is away, and keys."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from psycopg import sql

from gateway.api.problems import problem_kinds
from gateway.app import create_app
from gateway.auth.keyring import KeyringRefused, create_key, create_organization, open_keyring, revoke_key
from gateway.auth.keys import MARK, new_secret
from gateway.database import DatabaseUnreachable, NotMigrated, ServingRefused, make_engine
from tests.postgres import LOGIN, OWNER, PostgresServer, ServerKind, TestDatabase, drop_database, unique_name
from tests.records import connect
from tests.rest import PATIENCE, Gateway, Tenant, gateway, gateway_settings
from workerapp.db.address import DatabaseAddress

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


@contextmanager
def database_away(server: PostgresServer, database: TestDatabase) -> Iterator[None]:
    """Ends every connection to the database and lets no new one in."""
    name = DatabaseAddress.parse(database.url).asyncpg_target()["database"]
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with server.connect() as admin:
        admin.execute(allow.format(sql.Identifier(name), sql.Literal("false")))
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            admin.execute(allow.format(sql.Identifier(name), sql.Literal("true")))


async def until_ready(client: httpx.AsyncClient) -> None:
    """Ask until the gateway is ready; each answer is held against openapi.yaml."""
    async with asyncio.timeout(PATIENCE):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - nobody tells a client
            await asyncio.sleep(0.02)


async def test_a_database_that_is_down_at_start_is_said_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with gateway(NOWHERE) as running, running.client() as client:
            assert (await client.get("/healthz")).status_code == 200
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["code"]) == (503, "database_unavailable")
            assert ready.headers["retry-after"] == "1"
            answer = await client.get("/v1/tasks", headers={"Authorization": f"Bearer {MARK}x"})
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    (record,) = [record for record in caplog.records if record.name == "gateway.app"]
    assert record.getMessage() == "database_unavailable"
    assert "127.0.0.1:9" in record.__dict__["reason"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_database_that_goes_away_and_comes_back_needs_no_restart(
    postgres: PostgresServer, database: TestDatabase, served: Gateway, tenant: Tenant
) -> None:
    async with served.client(tenant) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        with database_away(postgres, database):
            away = await client.get("/v1/tasks")
            assert (away.status_code, away.json()["code"]) == (503, "database_unavailable")
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
        await until_ready(client)
        assert (await client.get("/v1/tasks")).status_code == 200


async def test_connections_cut_while_idle_cost_no_request_an_error(
    postgres: PostgresServer, database: TestDatabase, served: Gateway, tenant: Tenant
) -> None:
    async with served.client(tenant) as client:
        await asyncio.gather(*(client.get("/v1/tasks") for _ in range(5)))
        with database_away(postgres, database):
            pass
        await until_ready(client)
        for _ in range(6):
            assert (await client.get("/v1/tasks")).status_code == 200


async def test_connections_cut_in_the_middle_of_anything_are_an_outage_and_no_fault_of_ours(
    database: TestDatabase, served: Gateway, tenant: Tenant
) -> None:
    """A driver has many words for it, by what it was about to do."""
    cut = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()
    """
    seen: Counter[int] = Counter()

    async def ask(client: httpx.AsyncClient, path: str) -> None:
        while seen.total() < 400:
            seen[(await client.get(path)).status_code] += 1

    async with (
        served.client(tenant) as client,
        await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as admin,
    ):
        paths = ("/v1/tasks", "/v1/events", "/v1/test-runs", "/v1/endpoints")
        asking = [asyncio.create_task(ask(client, path)) for path in paths * 4]
        while not all(one.done() for one in asking):
            await admin.execute(cut)
        await asyncio.gather(*asking)
    assert seen.keys() <= {200, 503}
    assert seen[503]


async def test_the_database_may_come_after_the_gateway(postgres: PostgresServer, template_database: str) -> None:
    name = unique_name()
    login = OWNER if postgres.kind is ServerKind.OWNER else LOGIN
    with postgres.connect() as admin:
        try:
            async with gateway(postgres.as_role(login, name)) as running, running.client() as client:
                assert (await client.get("/readyz")).status_code == 503
                names = (sql.Identifier(name), sql.Identifier(template_database))
                admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
                await until_ready(client)
        finally:
            drop_database(admin, name)


async def test_an_empty_database_is_not_ready_and_says_what_to_run(postgres: PostgresServer) -> None:
    name = unique_name()
    with postgres.connect() as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            async with gateway(postgres.as_admin(name)) as running, running.client() as client:
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
                assert "gateway migrate" in ready.json()["detail"]
        finally:
            drop_database(admin, name)


@pytest.fixture
def unbound_role(postgres: PostgresServer) -> Iterator[None]:
    """While this lasts, row-level security does not bind the serving role."""
    with postgres.connect() as admin:
        admin.execute("CREATE ROLE gateway_test_unbound BYPASSRLS")
        try:
            yield
        finally:
            admin.execute("DROP ROLE gateway_test_unbound")


async def test_a_role_that_bypasses_row_level_security_is_refused(
    postgres: PostgresServer, database: TestDatabase, unbound_role: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.database.ROLE", "gateway_test_unbound")
    with pytest.raises(ServingRefused, match="row-level security does not bind"):
        await _connect(database.admin_url)


async def test_a_superuser_is_refused(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.database.ROLE", DatabaseAddress.parse(database.admin_url).asyncpg_target()["user"])
    with pytest.raises(ServingRefused, match="neither superuser nor BYPASSRLS"):
        await _connect(database.admin_url)


async def test_a_gateway_does_not_start_with_such_a_role(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.database.ROLE", DatabaseAddress.parse(database.admin_url).asyncpg_target()["user"])
    app = create_app(gateway_settings(database.admin_url))
    with pytest.raises(ServingRefused):
        async with app.router.lifespan_context(app):
            pytest.fail("it serves")
    assert "serving_refused" in [record.getMessage() for record in caplog.records]


async def test_a_missing_role_is_said_to_need_a_migration(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.database.ROLE", "gateway_test_missing")
    with pytest.raises(NotMigrated, match="gateway migrate"):
        await _connect(database.url)


async def test_a_wrong_password_is_an_outage_with_a_reason_and_no_secret(postgres: PostgresServer) -> None:
    with pytest.raises(DatabaseUnreachable) as failure:
        await _connect("postgresql://nobody:hunter2@127.0.0.1:9/nothing")
    assert "hunter2" not in str(failure.value)


async def _connect(url: str) -> None:
    engine = make_engine(gateway_settings(url))
    try:
        async with engine.connect():
            pass
    finally:
        await engine.dispose()


async def test_a_revoked_key_is_refused(served: Gateway, database: TestDatabase, tenant: Tenant) -> None:
    async with served.client(tenant) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
            assert revoke_key(keyring, tenant.key_id)
            assert not revoke_key(keyring, tenant.key_id)
        assert (await client.get("/v1/tasks")).json()["code"] == "key_invalid"


async def test_a_gateway_remembers_a_key_for_the_seconds_it_is_told(database: TestDatabase, tenant: Tenant) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("ALTER TABLE api_key DISABLE TRIGGER api_key_changed")  # so that nobody tells it of the end
    async with gateway(database.url, key_cache_seconds=600) as running, running.client(tenant) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
            revoke_key(keyring, tenant.key_id)
        assert (await client.get("/v1/tasks")).status_code == 200


async def test_an_expired_key_is_refused(served: Gateway, database: TestDatabase, tenant: Tenant) -> None:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        now = datetime.now(UTC)
        old = create_key(keyring, tenant.organization_id, "old", expires_at=now - timedelta(seconds=1))
        good = create_key(keyring, tenant.organization_id, "good", expires_at=now + timedelta(hours=1))
    async with served.client() as client:
        statuses = [
            (await client.get("/v1/tasks", headers={"Authorization": f"Bearer {key.secret}"})).status_code
            for key in (old, good)
        ]
    assert statuses == [401, 200]


async def test_the_use_of_a_key_is_noted(served: Gateway, database: TestDatabase, tenant: Tenant) -> None:
    async with served.client(tenant) as client:
        await client.get("/v1/tasks")
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        row = keyring.execute("SELECT last_used_at IS NOT NULL FROM api_key WHERE id = %s", (tenant.key_id,)).fetchone()
    assert row == (True,)


def test_a_keys_secret_is_not_stored(database: TestDatabase, tenant: Tenant) -> None:
    with psycopg.connect(database.admin_url) as admin:
        row = admin.execute("SELECT to_jsonb(k)::text FROM gateway.api_key k").fetchone()
    assert row is not None
    assert tenant.secret not in row[0]
    assert tenant.secret.split("_")[-1] not in row[0]


def test_secrets_are_long_random_and_one_word() -> None:
    made = {new_secret().secret for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith(MARK) and len(secret) >= 50 and secret.replace("_", "").isalnum() for secret in made)


def test_an_organization_is_made_once(database: TestDatabase) -> None:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        assert create_organization(keyring, "acme") == create_organization(keyring, "acme")


def test_unknown_scopes_are_refused(database: TestDatabase, tenant: Tenant) -> None:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        for scopes in (["fly"], []):
            with pytest.raises(KeyringRefused, match="runs:read, runs:write"):
                create_key(keyring, tenant.organization_id, "x", scopes)


async def test_every_answer_names_the_request_and_every_request_is_logged_with_its_tenant(
    served: Gateway, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    async with served.client(tenant) as client:
        with caplog.at_level(logging.INFO, logger="gateway.access"):
            named = await client.get("/v1/tasks", headers={"X-Request-Id": "my-request.1"})
            unnamed = await client.get("/v1/nothing", headers={"X-Request-Id": "two words"})
    assert named.headers["x-request-id"] == "my-request.1"
    assert unnamed.headers["x-request-id"] != "two words"
    records = [record.__dict__ for record in caplog.records if record.name == "gateway.access"]
    assert [(record["path"], record["status"]) for record in records] == [("/v1/tasks", 200), ("/v1/nothing", 404)]
    assert records[0]["organization_id"] == str(tenant.organization_id)
    assert tenant.secret not in str(records)


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("sent", [f"00-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-00-what-comes-later"])
async def test_a_problem_and_the_log_name_the_callers_trace(
    served: Gateway, caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    async with served.client() as client:
        with caplog.at_level(logging.INFO, logger="gateway.access"):
            response = await client.get("/v1/tasks", headers={"Traceparent": sent})
    assert response.json()["trace_id"] == TRACE
    assert response.json()["request_id"] == response.headers["x-request-id"] != TRACE
    assert [record.__dict__["trace_id"] for record in caplog.records if record.name == "gateway.access"] == [TRACE]


@pytest.mark.parametrize(
    "sent", ["", TRACE, f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", "x" * 55]
)
async def test_without_a_trace_a_problem_has_the_requests_id_in_its_place(served: Gateway, sent: str) -> None:
    async with served.client() as client:
        response = await client.get("/v1/tasks", headers={"Traceparent": sent})
    assert response.json()["trace_id"] == response.headers["x-request-id"]


async def test_a_problems_type_leads_to_what_its_code_means(served: Gateway) -> None:
    async with served.client() as client:
        problem = (await client.get("/v1/tasks")).json()
        kind = (await client.get(problem["type"])).json()
        assert {name: kind[name] for name in ("code", "status", "title")} == {
            name: problem[name] for name in ("code", "status", "title")
        }
        for code in problem_kinds():
            assert (await client.get(f"/problems/{code}")).json()["code"] == code
        assert (await client.get("/problems/unheard_of")).status_code == 404


async def test_an_unexpected_fault_is_a_bare_answer_and_a_log_line_with_its_id(
    served: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("gateway.auth.key_finder.KeyFinder.find", broken)
    async with served.client(tenant) as client:
        response = await client.get("/v1/tasks")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret detail" not in response.text
    (record,) = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert record.__dict__["request_id"] == response.headers["x-request-id"]
    assert record.exc_info is not None
