"""Stream tokens and tickets: what they open, for how long, and that they open nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.requests import HTTPConnection
from starlette.routing import Route

from gateway.app import create_app
from gateway.auth.authenticate_stream import SUBPROTOCOL, authenticate_stream
from gateway.auth.keyring import open_keyring, revoke_key
from gateway.auth.stream_token import Grant, SigningKey, write_token
from gateway.errors import KeyInUrl, KeyMissing, TokenInvalid
from gateway.routes import routes
from gateway.stream.subject import Subject, SubjectKind
from tests.definitions import add_configuration
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import PATIENCE, Gateway, Tenant, add_tenant, gateway, gateway_settings
from workerapp.db.address import DatabaseAddress

TASK: dict[str, Any] = {"name": "echo"}
#: Behind the terminal event of a task that was started, so the stream ends at once.
OVER = {"after": "3"}


async def ended_task(api: httpx.AsyncClient, database: TestDatabase) -> dict[str, Any]:
    """A submitted task that has ended since."""
    task: dict[str, Any] = (await api.post("/v1/tasks", json=TASK)).json()
    with connect(database.admin_url) as admin:
        for state in ("STARTED", "SUCCESS"):
            admin.execute("UPDATE task SET state = %s WHERE id = %s", (state, task["task_id"]))
    return task


async def ended_run(api: httpx.AsyncClient, database: TestDatabase) -> dict[str, Any]:
    """A submitted run that has ended since, because it could not be planned."""
    made = await add_configuration(api)
    run: dict[str, Any] = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE task SET state = 'FAILURE' WHERE id = %s", (run["task_id"],))
    return run


async def ended_group(api: httpx.AsyncClient, database: TestDatabase) -> dict[str, Any]:
    """A submitted group that has ended since, because it could not begin."""
    made = await add_configuration(api)
    asked = {"endpoint_ids": [made.endpoint_id]}
    group: dict[str, Any] = (await api.post(f"/v1/test-sets/{made.test_set_id}/execute", json=asked)).json()
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE task SET state = 'FAILURE' WHERE id = %s", (group["task_id"],))
    return group


async def ticket_of(client: httpx.AsyncClient, **asked: int) -> str:
    response = await client.post("/v1/stream-tickets", json=asked)
    assert response.status_code == 201, response.text
    return str(response.json()["ticket"])


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def signing_keys(database: TestDatabase) -> list[SigningKey]:
    with connect(database.admin_url) as admin:
        rows = admin.execute("SELECT id, secret FROM stream_token_key ORDER BY id").fetchall()
    return [SigningKey(number, bytes(secret)) for number, secret in rows]


@pytest.mark.parametrize("submit", [ended_task, ended_run, ended_group])
async def test_a_submission_answers_a_token_that_opens_its_stream_as_often_as_wanted(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, submit: Any
) -> None:
    made = await submit(api, database)
    path, token = made["links"]["events"], made["stream_token"]
    async with served.client() as anyone:
        for _ in range(2):
            in_url = await anyone.get(path, params={"token": token})
            assert in_url.status_code == 200
            assert '"type":"snapshot"' in in_url.text
        as_bearer = await anyone.get(path, headers={"Authorization": f"Bearer {token}"})
        assert as_bearer.status_code == 200
        assert (await anyone.get(path)).json()["code"] == "key_missing"


async def test_a_token_follows_a_task_live_and_gets_204_at_its_end(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase
) -> None:
    task = (await api.post("/v1/tasks", json=TASK)).json()
    path, token = task["links"]["events"], {"token": task["stream_token"]}
    async with (
        httpx.AsyncClient(base_url=served.url, timeout=PATIENCE, trust_env=False) as browser,
        browser.stream("GET", path, params=token | {"after": "0"}) as response,
    ):
        assert response.headers["referrer-policy"] == "no-referrer"
        lines = response.aiter_lines()
        while "task.pending" not in await anext(lines):
            pass
        with connect(database.admin_url) as admin:
            admin.execute("UPDATE task SET state = 'REVOKED' WHERE id = %s", (task["task_id"],))
        assert any(["task.revoked" in line async for line in lines])
    async with served.client() as anyone:
        over = await anyone.get(path, params=token, headers={"Last-Event-ID": "2"})
    assert (over.status_code, over.content) == (204, b"")


async def test_a_subjects_token_opens_no_other_stream_and_tells_nothing_of_it(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase
) -> None:
    mine, other, run = await ended_task(api, database), await ended_task(api, database), await ended_run(api, database)
    foreign = add_tenant(database)
    async with served.client(foreign) as stranger:
        theirs = await ended_task(stranger, database)
    closed = [
        (mine["stream_token"], other["links"]["events"]),
        (mine["stream_token"], run["links"]["events"]),
        (mine["stream_token"], theirs["links"]["events"]),
        (mine["stream_token"], f"/v1/test-runs/{mine['task_id']}/events"),
        # The task that carries the run is another subject.
        (run["stream_token"], f"/v1/tasks/{run['task_id']}/events"),
        (theirs["stream_token"], mine["links"]["events"]),
    ]
    async with served.client() as anyone:
        for token, path in closed:
            refused = await anyone.get(path, params={"token": token} | OVER)
            unknown = await anyone.get(f"/v1/tasks/{uuid4()}/events", params={"token": token} | OVER)
            assert code_of(refused) == code_of(unknown) == (404, "not_found")
            assert set(refused.json()) == set(unknown.json())


async def test_a_ticket_opens_every_stream_of_its_organization_and_no_other(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase
) -> None:
    task, run = await ended_task(api, database), await ended_run(api, database)
    async with served.client(add_tenant(database)) as stranger, served.client() as anyone:
        mine, theirs = await ticket_of(api), await ticket_of(stranger)
        for path in (task["links"]["events"], run["links"]["events"]):
            assert (await anyone.get(path, params={"token": mine})).status_code == 200
            assert code_of(await anyone.get(path, params={"token": theirs})) == (404, "not_found")


def other_operations() -> list[tuple[str, str]]:
    """Everything that needs a key and is no stream."""
    return sorted(
        (method, route.path)
        for route in routes()
        if isinstance(route, Route) and route.path.startswith("/v1/") and not route.path.endswith(("/events", "/ws"))
        for method in (route.methods or set()) - {"HEAD"}
    )


@pytest.mark.parametrize(("method", "path"), other_operations())
async def test_nothing_but_a_stream_takes_a_stream_token(
    api: httpx.AsyncClient, served: Gateway, method: str, path: str
) -> None:
    task, ticket = (await api.post("/v1/tasks", json=TASK)).json(), await ticket_of(api)
    path = re.sub(r"\{(?!task_id)\w+\}", lambda _: str(uuid4()), path).format(task_id=task["task_id"])
    async with served.client() as anyone:
        for token in (task["stream_token"], ticket):
            refused = await anyone.request(method, path, headers={"Authorization": f"Bearer {token}"})
            assert code_of(refused) == (403, "stream_token_refused")
            assert "opens streams only" in refused.json()["detail"]
            assert (await anyone.request(method, path, params={"token": token})).json()["code"] == "key_missing"
    assert (await api.get(task["links"]["self"])).json()["status"] == "PENDING"


async def test_an_api_key_in_the_url_is_refused_even_beside_one_in_the_header(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task = await ended_task(api, database)
    async with served.client() as anyone:
        for client in (anyone, api):
            refused = await client.get(task["links"]["events"], params={"token": tenant.secret})
            assert code_of(refused) == (401, "key_in_url")
            assert "revoke it" in refused.json()["detail"]
            assert tenant.secret not in refused.text


@pytest.mark.parametrize("token", ["", "eyJhbGciOiJIUzI1NiJ9.e30.x", "tst_", "tst_AAAA", "tst_" + "A" * 128, "tst_ö"])
async def test_what_is_no_token_is_refused(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, token: str
) -> None:
    task = await ended_task(api, database)
    async with served.client() as anyone:
        refused = await anyone.get(task["links"]["events"], params={"token": token})
        assert code_of(refused) == (401, "token_invalid")
        assert "tst_" in refused.json()["detail"] or "stream token" in refused.json()["detail"]
        twice = await anyone.get(task["links"]["events"], params=[("token", task["stream_token"])] * 2)
        assert code_of(twice) == (422, "validation_failed")


async def test_a_token_is_good_until_its_time_and_only_with_our_signature(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task = await ended_task(api, database)
    (key,) = signing_keys(database)
    grant = Grant(
        key_id=tenant.key_id,
        expires_at=int(time.time()) + 60,
        subject=Subject(SubjectKind.TASK, task["task_id"]),
    )
    expired = Grant(key_id=grant.key_id, expires_at=int(time.time()) - 1, subject=grant.subject)
    unknown = Grant(key_id=uuid4(), expires_at=grant.expires_at, subject=grant.subject)
    expected: list[tuple[str, int, str | None]] = [
        (write_token(grant, key), 200, None),
        (write_token(expired, key), 401, "token_expired"),
        (write_token(unknown, key), 401, "token_invalid"),
        (write_token(grant, SigningKey(key.id, os.urandom(32))), 401, "token_invalid"),
        (write_token(grant, SigningKey(key.id + 1, key.secret)), 401, "token_invalid"),
    ]
    async with served.client() as anyone:
        for token, status, code in expected:
            answer = await anyone.get(task["links"]["events"], params={"token": token})
            assert answer.status_code == status
            if code is not None:
                assert answer.json()["code"] == code
                assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("submit", [ended_task, ended_run])
async def test_a_subjects_token_outlives_the_subject_by_the_grace_only(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, submit: Any
) -> None:
    made = await submit(api, database)
    table, subject_id = ("test_run", made["test_run_id"]) if "test_run_id" in made else ("task", made["task_id"])
    path, parameters = made["links"]["events"], {"token": made["stream_token"]}
    ticket = await ticket_of(api)
    with connect(database.admin_url) as admin:
        age = f"UPDATE {table} SET finished_at = now() - %s WHERE id::text = %s"
        admin.execute(age, (timedelta(minutes=9), subject_id))
        async with served.client() as anyone:
            assert (await anyone.get(path, params=parameters)).status_code == 200
            admin.execute(age, (timedelta(minutes=11), subject_id))
            late = await anyone.get(path, params=parameters)
            assert code_of(late) == (401, "token_expired")
            assert "600 seconds" in late.json()["detail"]
            assert (await anyone.get(path, params={"token": ticket})).status_code == 200


async def test_a_revoked_key_takes_its_tokens_along(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task, ticket = await ended_task(api, database), await ticket_of(api)
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as keyring:
        assert revoke_key(keyring, tenant.key_id)
    async with served.client() as anyone:
        for token in (task["stream_token"], ticket):
            refused = await anyone.get(task["links"]["events"], params={"token": token})
            assert code_of(refused) == (401, "token_invalid")
            assert "expired or revoked" in refused.json()["detail"]


async def test_a_token_can_do_no_more_than_the_key_that_made_it(served: Gateway, database: TestDatabase) -> None:
    async with served.client(add_tenant(database, ["tasks:submit"])) as robot, served.client() as anyone:
        task = await ended_task(robot, database)
        refused = await anyone.get(task["links"]["events"], params={"token": task["stream_token"]})
        assert code_of(refused) == (403, "scope_missing")
        assert code_of(await robot.post("/v1/stream-tickets")) == (403, "scope_missing")


async def test_gateways_on_one_database_open_each_others_tokens_and_signing_keys_can_be_replaced(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with (
        gateway(database.url, key_cache_seconds=60) as first,
        gateway(database.url, key_cache_seconds=0) as second,
        first.client(tenant) as one,
        second.client(tenant) as two,
        first.client() as anyone,
    ):
        old = await ended_task(one, database)
        with connect(database.admin_url) as admin:
            admin.execute("INSERT INTO stream_token_key DEFAULT VALUES")
        new = await ended_task(two, database)
        # The first gateway has not looked for new keys since, and finds this one when it meets it.
        for task in (old, new):
            assert (
                await anyone.get(task["links"]["events"], params={"token": task["stream_token"]})
            ).status_code == 200
        with connect(database.admin_url) as admin:
            admin.execute("DELETE FROM stream_token_key WHERE id = (SELECT min(id) FROM stream_token_key)")
        async with second.client() as other:
            gone = await other.get(old["links"]["events"], params={"token": old["stream_token"]})
            assert code_of(gone) == (401, "token_invalid")
            assert (await other.get(new["links"]["events"], params={"token": new["stream_token"]})).status_code == 200


async def test_a_database_whose_signing_keys_were_all_deleted_submits_nothing_and_says_why(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("DELETE FROM stream_token_key")
        refused = await api.post("/v1/tasks", json=TASK)
        assert code_of(refused) == (503, "not_ready")
        assert "docs/security.md" in refused.json()["detail"]
        assert admin.execute("SELECT count(*) FROM task").fetchone() == (0,)


def test_signing_keys_differ_and_only_gateways_can_ask_for_them(database: TestDatabase) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("INSERT INTO stream_token_key DEFAULT VALUES")
        for role, may in (("gateway_rw", True), ("worker_rw", False), ("event_reader", False)):
            row = admin.execute(
                "SELECT has_function_privilege(%s, 'gateway.stream_token_keys()', 'EXECUTE'),"
                " has_function_privilege(%s, 'gateway.find_api_key_by_id(uuid)', 'EXECUTE')",
                (role, role),
            ).fetchone()
            assert row == (may, may)
    one, two = signing_keys(database)
    assert len(one.secret) == len(two.secret) == 32
    assert one.secret != two.secret


async def test_a_ticket_is_good_for_as_long_as_is_asked_and_no_longer_than_allowed(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, stream_ticket_max_seconds=7200) as running, running.client(tenant) as client:
        for body, seconds in ((None, 3600), ({}, 3600), ({"ttl_seconds": 60}, 60), ({"ttl_seconds": 7200}, 7200)):
            before = datetime.now(UTC)
            response = await client.post("/v1/stream-tickets", json=body)
            life = datetime.fromisoformat(response.json()["expires_at"]) - before
            assert response.headers["cache-control"] == "no-store"
            assert -1 < life.total_seconds() - seconds < PATIENCE
        for wrong in (0, -1, 7201, 10**30, "60", 1.5):
            refused = await client.post("/v1/stream-tickets", json={"ttl_seconds": wrong})
            assert code_of(refused) == (422, "validation_failed"), wrong
            assert [error["pointer"] for error in refused.json()["errors"]] == ["/ttl_seconds"]
        assert "7200 seconds" in (await client.post("/v1/stream-tickets", json={"ttl_seconds": 7201})).text


async def test_an_answer_that_is_given_again_has_a_token_that_was_not_stored(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase
) -> None:
    made = await add_configuration(api)
    submissions = [("/v1/tasks", TASK), (f"/v1/test-configurations/{made.configuration_id}/execute", {})]
    for number, (path, body) in enumerate(submissions):
        key = {"Idempotency-Key": f"key-{number}"}
        first = (await api.post(path, json=body, headers=key)).json()
        again = await api.post(path, json=body, headers=key)
        assert again.headers["idempotent-replayed"] == "true"
        token = again.json().pop("stream_token")
        with connect(database.admin_url) as admin:
            admin.execute("UPDATE task SET state = 'FAILURE' WHERE id = %s", (first["task_id"],))
            stored = json.dumps(admin.execute("SELECT to_jsonb(k) FROM idempotency_key k").fetchall())
        assert first["task_id"] in stored
        assert "tst_" not in stored
        async with served.client() as anyone:
            assert (await anyone.get(first["links"]["events"], params={"token": token})).status_code == 200


def websocket(query: str = "", *subprotocols: str, authorization: str = "") -> HTTPConnection:
    """A handshake as a handler of WebSockets gets it."""
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope = {"type": "websocket", "path": "/", "headers": headers, "query_string": query.encode(), "state": {}}
    return HTTPConnection(scope | {"subprotocols": list(subprotocols)})


async def test_a_websocket_is_opened_by_a_subprotocol_or_a_header_and_never_by_its_url(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    task, ticket = (await api.post("/v1/tasks", json=TASK)).json(), await ticket_of(api)
    token, subject = task["stream_token"], Subject(SubjectKind.TASK, task["task_id"])
    app = create_app(gateway_settings(database.url))
    async with app.router.lifespan_context(app) as state:
        services = state["services"]
        for connection, restricted_to in (
            (websocket("", SUBPROTOCOL, f"token.{token}"), subject),
            (websocket("", SUBPROTOCOL, f"token.{ticket}"), None),
            (websocket(authorization=f"Bearer {token}"), subject),
            (websocket(authorization=f"Bearer {tenant.secret}"), None),
        ):
            watcher = await authenticate_stream(connection, services)
            assert (watcher.caller.key_id, watcher.subject) == (tenant.key_id, restricted_to)
        for connection, error in (
            (websocket(f"token={token}", SUBPROTOCOL), KeyMissing),
            (websocket(f"token={tenant.secret}", SUBPROTOCOL, f"token.{token}"), KeyInUrl),
            (websocket("", SUBPROTOCOL, f"token.{tenant.secret}"), TokenInvalid),
            (websocket("", SUBPROTOCOL), KeyMissing),
        ):
            with pytest.raises(error):
                await authenticate_stream(connection, services)


async def handshake(url: str, path: str, headers: Sequence[str]) -> bytes:
    """The status line that a WebSocket's client is answered with."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = base64.b64encode(os.urandom(16)).decode()
    opening = ["Host: gateway", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines = [f"GET {path} HTTP/1.1", *opening, f"Sec-WebSocket-Key: {key}", *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()
    return status


async def test_neither_tokens_nor_keys_are_logged(
    database: TestDatabase, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with gateway(database.url) as running, running.client(tenant) as client, running.client() as anyone:
            task = await ended_task(client, database)
            path, token, ticket = task["links"]["events"], task["stream_token"], await ticket_of(client)
            for secret in (token, ticket, token[:-1], tenant.secret):
                await anyone.get(path, params={"token": secret})
                await anyone.get(path, headers={"Authorization": f"Bearer {secret}"})
                await anyone.get("/v1/tasks", params={"token": secret})
                offer = ["Sec-WebSocket-Protocol: gateway.v1, token." + secret, f"Authorization: Bearer {secret}"]
                assert b" 403 " in await handshake(running.url, f"{path}?token={secret}", offer)
    ours = [record for record in caplog.records if record.name.split(".")[0] in ("gateway", "uvicorn", "sqlalchemy")]
    assert path in [record.__dict__.get("path") for record in ours]
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in ours)
    assert "tst_" not in text
    assert tenant.secret not in text
