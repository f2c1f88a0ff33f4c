"""`/v1/api-keys`: an organization makes, replaces and revokes its own keys, and none that may more than their maker."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from gateway.auth.keyring import open_keyring, revoke_key
from gateway.auth.keys import DEFAULT_SCOPES, Scope
from tests.integration.streams import eventually
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, add_tenant, gateway
from workerapp.db.address import DatabaseAddress

KEYS = "/v1/api-keys"


async def make(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    response = await client.post(KEYS, json={"name": "ci"} | asked)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


@asynccontextmanager
async def holder(served: Gateway, key: dict[str, Any]) -> AsyncGenerator[httpx.AsyncClient]:
    """Whoever holds the new key."""
    async with served.client() as client:
        client.headers["Authorization"] = f"Bearer {key['secret']}"
        yield client


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["detail"])


def count(database: TestDatabase) -> int:
    with connect(database.admin_url) as admin:
        (row,) = admin.execute("SELECT count(*) FROM api_key").fetchall()
        return int(row[0])


async def test_a_key_is_made_used_and_read_and_its_secret_is_told_once(
    served: Gateway, api: httpx.AsyncClient, tenant: Tenant
) -> None:
    response = await api.post(KEYS, json={"name": "ci", "scopes": ["runs:write", "runs:read", "runs:read"]})
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    made = response.json()
    assert made["secret"].startswith(made["prefix"] + "_")
    assert made["scopes"] == ["runs:read", "runs:write"]
    assert (made["expires_at"], made["last_used_at"], made["revoked_at"], made["user_id"]) == (None,) * 4
    async with holder(served, made) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        assert "runs:read, runs:write" in refused(await client.get("/v1/events"), 403, "scope_missing")
    listed = await api.get(KEYS)
    assert [key["id"] for key in listed.json()["items"]] == [made["id"], str(tenant.key_id)]
    one = await api.get(response.headers["location"])
    assert one.json() == listed.json()["items"][0]
    assert one.json()["last_used_at"] is not None
    for answer in (listed, one):
        assert made["secret"] not in answer.text
        assert "secret" not in answer.text
        assert "hash" not in answer.text


async def test_a_key_that_asks_for_no_scopes_gets_those_of_runs_tasks_and_streams(api: httpx.AsyncClient) -> None:
    assert (await make(api))["scopes"] == [*DEFAULT_SCOPES]


async def test_keys_come_page_by_page_and_only_the_organizations_own(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = [(await make(api, name=name))["name"] for name in ("one", "two")]
    first = (await api.get(KEYS, params={"limit": 2})).json()
    assert [key["name"] for key in first["items"]] == made[::-1]
    rest = (await api.get(KEYS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([key["id"] for key in rest["items"]], rest["next_cursor"]) == ([str(tenant.key_id)], None)
    stranger = add_tenant(database)
    async with served.client(stranger) as other:
        assert [key["id"] for key in (await other.get(KEYS)).json()["items"]] == [str(stranger.key_id)]


@pytest.mark.parametrize("scope", [*Scope])
async def test_no_key_gives_a_scope_that_it_does_not_have_and_none_gives_that_of_operators(
    served: Gateway, database: TestDatabase, scope: Scope
) -> None:
    held = sorted({*Scope} - {scope} | {Scope.KEYS_MANAGE})
    async with served.client(add_tenant(database, held)) as client:
        before = count(database)
        response = await client.post(KEYS, json={"name": "more", "scopes": ["keys:manage", scope]})
        if scope is Scope.KEYS_MANAGE:
            assert response.status_code == 201
        else:
            detail = refused(response, 403, "scope_missing")
            assert scope in detail
            assert "gateway keys" in detail or "yours has" in detail
            assert count(database) == before


async def test_even_an_operators_key_makes_no_operators_key(served: Gateway, database: TestDatabase) -> None:
    async with served.client(add_tenant(database, [*Scope])) as operator:
        made = await operator.post(KEYS, json={"name": "x", "scopes": ["admin"]})
        assert "gateway keys" in refused(made, 403, "scope_missing")
        own = (await operator.get(KEYS)).json()["items"][0]
        assert "gateway keys" in refused(await operator.post(own["links"]["rotate"]), 403, "scope_missing")


async def test_a_key_is_replaced_only_by_one_that_may_as_much(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase
) -> None:
    strong, weak = await make(api), await make(api, scopes=["keys:manage"])
    async with holder(served, weak) as client:
        before = count(database)
        detail = refused(await client.post(strong["links"]["rotate"]), 403, "scope_missing")
        assert "runs:write" in detail
        assert count(database) == before
        assert (await client.post(weak["links"]["rotate"])).status_code == 201  # itself
    async with holder(served, strong) as client:
        assert (await client.get("/v1/tasks")).status_code == 200


async def test_a_key_belongs_to_a_user_of_its_own_organization_or_to_nobody(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    stranger = add_tenant(database)
    with connect(database.admin_url) as admin:
        own, foreign = (
            str(
                admin.execute(
                    "INSERT INTO app_user (organization_id, name) VALUES (%s, 'Ada') RETURNING id", (organization_id,)
                ).fetchall()[0][0]
            )
            for organization_id in (tenant.organization_id, stranger.organization_id)
        )
        # Whoever gets past the look-up meets the foreign key.
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            admin.execute("UPDATE api_key SET user_id = %s WHERE id = %s", (foreign, tenant.key_id))
    made = await make(api, user_id=own)
    assert made["user_id"] == own
    assert (await api.post(made["links"]["rotate"])).json()["user_id"] == own
    for user_id in (foreign, str(uuid4())):
        wrong = await api.post(KEYS, json={"name": "x", "user_id": user_id})
        refused(wrong, 422, "validation_failed")
        assert wrong.json()["errors"][0]["pointer"] == "/user_id"


async def test_a_key_expires_when_it_was_told_to(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase
) -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    by_time = await make(api, expires_at=in_an_hour.isoformat())
    by_life = await make(api, expires_in_seconds=3600)
    for key in (by_time, by_life):
        assert abs(datetime.fromisoformat(key["expires_at"]) - in_an_hour) < timedelta(minutes=1)
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE api_key SET expires_at = now() - interval '1 second' WHERE id = %s", (by_life["id"],))
    async with holder(served, by_time) as good, holder(served, by_life) as over:
        assert (await good.get("/v1/tasks")).status_code == 200
        refused(await over.get("/v1/tasks"), 401, "key_invalid")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, "past"),
        ({"expires_at": "2200-01-01T00:00:00"}, "timezone"),
        ({"expires_at": "2200-01-01T00:00:00Z", "expires_in_seconds": 1}, "not both"),
        ({"expires_in_seconds": 0}, "greater than"),
        ({"expires_in_seconds": 10**12}, "less than"),
        ({"scopes": []}, "at least 1"),
        ({"scopes": ["fly"]}, "runs:read"),
        ({"name": ""}, "at least 1"),
        ({"name": "x" * 201}, "at most 200"),
        ({"secret": "tsg_mine"}, "no such field"),
    ],
)
async def test_what_makes_no_key_is_refused_with_what_would_be_right(
    api: httpx.AsyncClient, database: TestDatabase, asked: dict[str, Any], said: str
) -> None:
    before = count(database)
    assert said in refused(await api.post(KEYS, json={"name": "ci"} | asked), 422, "validation_failed")
    assert count(database) == before


async def test_a_key_is_renamed_and_nothing_else(api: httpx.AsyncClient) -> None:
    made = await make(api)
    changed = (await api.patch(made["links"]["self"], json={"name": "website"})).json()
    made.pop("secret")
    assert changed == made | {"name": "website"}
    for field in ({"scopes": ["runs:read"]}, {"expires_at": None}, {"revoked_at": None}):
        refused(await api.patch(made["links"]["self"], json={"name": "x"} | field), 422, "validation_failed")


async def test_a_revoked_key_is_refused_and_stays_revoked(served: Gateway, api: httpx.AsyncClient) -> None:
    made = await make(api)
    async with holder(served, made) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        assert (await api.delete(made["links"]["self"])).status_code == 204
        refused(await client.get("/v1/tasks"), 401, "key_invalid")
    revoked_at = (await api.get(made["links"]["self"])).json()["revoked_at"]
    assert (await api.delete(made["links"]["self"])).status_code == 204
    assert (await api.get(made["links"]["self"])).json()["revoked_at"] == revoked_at is not None
    assert "make a new one" in refused(await api.post(made["links"]["rotate"]), 409, "key_ended")


async def test_a_rotated_key_is_good_for_the_overlap_and_the_new_one_is_like_it(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase
) -> None:
    old = await make(api, scopes=["runs:read"], expires_in_seconds=3600)
    new = (await api.post(old["links"]["rotate"], json={"overlap_seconds": 60})).json()
    assert (new["name"], new["scopes"]) == (old["name"], old["scopes"])
    assert new["secret"] != old["secret"]
    ends = datetime.fromisoformat((await api.get(old["links"]["self"])).json()["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=30)
    life = [datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"]) for key in (old, new)]
    assert abs(life[0] - life[1]) < timedelta(seconds=1)
    async with holder(served, old) as before, holder(served, new) as after:
        assert (await before.get("/v1/tasks")).status_code == 200
        assert (await after.get("/v1/tasks")).status_code == 200
        with connect(database.admin_url) as admin:
            admin.execute("UPDATE api_key SET expires_at = now() WHERE id = %s", (old["id"],))
        refused(await before.get("/v1/tasks"), 401, "key_invalid")
        assert (await after.get("/v1/tasks")).status_code == 200


async def test_a_key_rotated_without_an_overlap_ends_at_once_also_one_that_rotates_itself(
    served: Gateway, api: httpx.AsyncClient
) -> None:
    old = await make(api, scopes=["keys:manage"])
    async with holder(served, old) as client:
        new = (await client.post(old["links"]["rotate"])).json()
        refused(await client.get(KEYS), 401, "key_invalid")
    async with holder(served, new) as client:
        assert (await client.get(KEYS)).status_code == 200


async def test_an_overlap_is_as_long_as_the_server_allows_and_never_longer_than_the_key(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, key_overlap_max_seconds=600) as running, running.client(tenant) as client:
        made = await make(client, expires_in_seconds=60)
        for wrong in (601, -1, "1", 1.5):
            refused(
                await client.post(made["links"]["rotate"], json={"overlap_seconds": wrong}), 422, "validation_failed"
            )
        assert (await client.post(made["links"]["rotate"], json={"overlap_seconds": 600})).status_code == 201
        assert (await client.get(made["links"]["self"])).json()["expires_at"] == made["expires_at"]


async def test_an_organization_has_as_many_good_keys_as_it_may_however_many_are_made_at_once(
    database: TestDatabase, tenant: Tenant
) -> None:
    add_tenant(database)  # whose key is not counted
    async with gateway(database.url, max_api_keys=4) as running, running.client(tenant) as client:
        answers = await asyncio.gather(*(client.post(KEYS, json={"name": "ci"}) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
        full = next(answer for answer in answers if answer.status_code == 409)
        assert "4 keys" in refused(full, 409, "too_many_keys")
        made = next(answer.json() for answer in answers if answer.status_code == 201)
        refused(await client.post(made["links"]["rotate"], json={"overlap_seconds": 1}), 409, "too_many_keys")
        assert (await client.get(made["links"]["self"])).json()["expires_at"] is None
        assert (await client.post(made["links"]["rotate"])).status_code == 201
        refused(await client.post(KEYS, json={"name": "ci"}), 409, "too_many_keys")
        newest = (await client.get(KEYS)).json()["items"][0]
        await client.delete(newest["links"]["self"])
        await make(client)


async def test_a_repeated_request_makes_no_second_key_and_tells_no_secret(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase
) -> None:
    made = (await api.post(KEYS, json={"name": "ci"}, headers={"Idempotency-Key": "make"})).json()
    rotate = {"headers": {"Idempotency-Key": "rotate"}, "json": {"overlap_seconds": 60}}
    new = (await api.post(made["links"]["rotate"], **rotate)).json()  # type: ignore[arg-type]
    before = count(database)
    again = await api.post(KEYS, json={"name": "ci"}, headers={"Idempotency-Key": "make"})
    rotated = await api.post(made["links"]["rotate"], **rotate)  # type: ignore[arg-type]
    for key, answer in ((made, again), (new, rotated)):
        assert answer.status_code == 201
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.json() == {name: value for name, value in key.items() if name != "secret"}
    assert count(database) == before
    with connect(database.admin_url) as admin:
        everything = json.dumps(
            [
                admin.execute(f"SELECT to_jsonb(t) FROM {table} AS t".encode()).fetchall()
                for table in ("idempotency_key", "api_key")
            ]
        )
    assert made["id"] in everything
    for key in (made, new):
        assert key["secret"] not in everything
        assert key["secret"].rpartition("_")[2] not in everything


async def test_no_secret_is_logged(database: TestDatabase, tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with gateway(database.url) as running, running.client(tenant) as client:
            made = await make(client)
            new = (await client.post(made["links"]["rotate"])).json()
            await client.delete(new["links"]["self"])
            async with holder(running, new) as ended:
                refused(await ended.get(KEYS), 401, "key_invalid")
    ours = [record for record in caplog.records if record.name.split(".")[0] in ("gateway", "uvicorn", "sqlalchemy")]
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in ours)
    assert KEYS in text
    for key in (made, new):
        assert key["secret"].rpartition("_")[2] not in text


# ---------------------------------------------------------------- in the database
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT secret_hash FROM api_key",
        "SELECT * FROM api_key",
        "UPDATE api_key SET scopes = '{admin}'",
        "UPDATE api_key SET secret_hash = sha256('x')",
        "DELETE FROM api_key",
        "INSERT INTO api_key (organization_id, name, prefix, secret_hash) VALUES (current_organization(), '', '', '')",
        "SELECT create_api_key('x', 'x', sha256('x'), '{runs:read,admin}', NULL, NULL, 100)",
    ],
)
def test_the_serving_role_reads_no_hash_and_gives_no_scope(
    database: TestDatabase, tenant: Tenant, statement: str
) -> None:
    with (
        connect(database.url, "gateway_rw", tenant.organization_id) as serving,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        serving.execute(statement.encode())


def test_the_serving_role_makes_keys_of_the_organization_of_its_transaction_only(
    database: TestDatabase, tenant: Tenant
) -> None:
    make = "SELECT create_api_key('x', 'x', sha256('x'), '{runs:read}', NULL, NULL, 100)"
    stranger = add_tenant(database)
    with connect(database.url, "gateway_rw", stranger.organization_id) as serving:
        assert serving.execute(make).fetchall()[0][0] is not None
        assert serving.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s", (tenant.key_id,)).rowcount == 0
        seen = serving.execute("SELECT DISTINCT organization_id FROM api_key").fetchall()
    assert seen == [(stranger.organization_id,)]
    with connect(database.url, "gateway_rw") as serving, pytest.raises(psycopg.errors.NotNullViolation):
        serving.execute(make)


def test_only_operators_functions_cross_organizations(database: TestDatabase) -> None:
    with connect(database.admin_url) as admin:
        for name in (
            "admin_organization(uuid)",
            "create_api_key(text, text, bytea, text[], timestamptz, uuid, integer)",
        ):
            for role, may in (("gateway_rw", True), ("worker_rw", False), ("event_reader", False)):
                privilege = "SELECT has_function_privilege(%s, %s, 'EXECUTE')"
                assert admin.execute(privilege, (role, f"gateway.{name}")).fetchone() == (may,), (name, role)


async def test_every_gateway_forgets_a_key_when_it_is_told_and_not_when_its_time_in_the_cache_is_over(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with (
        gateway(database.url, key_cache_seconds=3600) as first,
        gateway(database.url, key_cache_seconds=3600) as second,
        first.client(tenant) as one,
        second.client(tenant) as two,
    ):
        clients = (one, two)
        for client in clients:
            assert (await client.get("/v1/tasks")).status_code == 200
        with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
            assert revoke_key(keyring, tenant.key_id)
        for client in clients:
            await refusal_of(client)


async def refusal_of(client: httpx.AsyncClient) -> None:
    """Wait until the client is refused."""
    statuses: list[int] = []

    async def ask() -> None:
        while not statuses or statuses[-1] == 200:
            statuses.append((await client.get("/v1/tasks")).status_code)

    asking = asyncio.create_task(ask())
    await eventually(asking.done)
    await asking
    assert statuses[-1] == 401
