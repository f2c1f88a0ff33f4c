"""Tenants do not see each other: over REST on every route, and in the database on every table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import asyncpg
import httpx
import psycopg
import pytest
from sqlalchemy import Connection, Engine, event
from starlette.routing import Route

from gateway.api.routing import Resource
from gateway.routes import routes
from tests.definitions import METRIC, TEST_SET, WEBHOOK, Configured, add_configuration, created
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, add_tenant
from tests.security import documented

#: Tables of no tenant: nobody but their functions may touch them, or they say nothing about tenants.
TABLES_WITHOUT_TENANT = {
    "alembic_version",
    "broker_binding",
    "broker_message",
    "chord",
    "chord_part",
    "event_log",
    "stream_token_key",
    "sweep_step",
    "task_type",
    "worker_heartbeat",
}
#: Paths without an id, which answer only what is the caller's own; see the test of lists.
LISTS = {
    *("/v1/tasks", "/v1/endpoints", "/v1/test-sets", "/v1/test-configurations", "/v1/metrics", "/v1/test-runs"),
    *("/v1/run-groups", "/v1/webhook-endpoints", "/v1/webhook-deliveries"),
}
#: The same of the keys: who asks has one.
KEYS = "/v1/api-keys"
#: Who is asking; see test_api_caller.py.
CALLER = "/v1/caller"
#: What was done to what is the caller's own; see the tests of the audit log.
AUDIT = "/v1/audit-events"
#: What makes something of the caller's own; see the tests of stream tokens.
MAKERS = {"/v1/stream-tickets"}
#: What ends or repeats many at once, with the filter that finds all there are; see test_bulk.py.
BULK: dict[str, dict[str, Any]] = {
    path: {"filter": {}} for path in ("/v1/tasks/cancel", "/v1/test-runs/cancel", "/v1/test-runs/retry")
}
#: What is the deployment's, and the same for every organization; see test_task_types.py.
OF_THE_DEPLOYMENT = {"/v1/task-types", "/v1/task-types/{task_type}"}
#: What happens in an organization, from the beginning.
EVENTS = "/v1/events"
#: Bodies for the operations that look at theirs before they look for anything.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", "/v1/api-keys/{api_key_id}"): {"name": "theirs"},
    ("PATCH", "/v1/test-sets/{test_set_id}"): {"name": "theirs"},
    ("POST", "/v1/test-sets/{test_set_id}/execute"): {"endpoint_ids": [str(uuid4())]},
    ("PATCH", "/v1/metrics/{metric_id}"): {"description": "theirs"},
    ("PATCH", "/v1/webhook-endpoints/{webhook_endpoint_id}"): {"description": "theirs", "enabled": False},
    ("POST", "/v1/webhook-endpoints/{webhook_endpoint_id}/recover"): {"since": "2026-01-01T00:00:00Z"},
    ("POST", "/v1/test-sets/{test_set_id}/reorder"): {"test_ids": []},
    ("POST", "/v1/test-sets/{test_set_id}/tests"): {"tests": [{"input": "theirs"}]},
    ("PUT", "/v1/test-sets/{test_set_id}/tests/{test_id}"): {"input": "theirs"},
    **{("POST", path): body for path, body in BULK.items()},
}
#: What crosses organizations, by a scope that no key has unasked.
ADMIN = {f"/v1/admin/{what}" for what in ("organizations", "workers", "queues", "tasks", "sweeper")}
#: What operators send there, and how what they make is answered.
ADMIN_BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/admin/queues/{queue}/purge"): {"confirm": "celery"},
    ("POST", "/v1/admin/organizations"): {"name": "new"},
    ("PATCH", "/v1/admin/organizations/{organization_id}"): {"name": "renamed"},
    ("POST", "/v1/admin/organizations/{organization_id}/api-keys"): {"name": "first"},
}
#: What is done to what the path names before.
ACTIONS = (
    *("/execute", "/events", "/cancel", "/invoke", "/reorder", "/import", "/export"),
    *("/retry", "/rerun", "/rescore", "/rotate"),
    *("/secret", "/test", "/recover", "/resend", "/attempts"),
)
#: What is the same for everybody.
OPEN_BY_NAME = {"/docs/{name}", "/dashboard/{name}", "/dashboard/{folder}/{name}", "/problems/{code}"}
#: `/v1/ws` as a request that is no handshake.
OPEN = {"/", "/healthz", "/readyz", "/metrics", "/openapi.yaml", "/docs", "/v1/ws"}


@dataclass(frozen=True, kw_only=True)
class Owned:
    """One of everything, of one organization."""

    definitions: Configured
    test_id: str
    metric_id: str
    run_id: str
    run_group_id: str
    task_id: str
    webhook_endpoint_id: str
    webhook_delivery_id: str

    def ids(self) -> dict[str, str]:
        """By the names of path parameters."""
        return {
            "endpoint_id": self.definitions.endpoint_id,
            "test_set_id": self.definitions.test_set_id,
            "test_id": self.test_id,
            "test_configuration_id": self.definitions.configuration_id,
            "metric_id": self.metric_id,
            "test_run_id": self.run_id,
            "other_test_run_id": self.run_id,
            "run_group_id": self.run_group_id,
            "task_id": self.task_id,
            "webhook_endpoint_id": self.webhook_endpoint_id,
            "webhook_delivery_id": self.webhook_delivery_id,
        }


async def owned(client: httpx.AsyncClient) -> Owned:
    definitions = await add_configuration(client)
    tests = (await client.get(f"/v1/test-sets/{definitions.test_set_id}/tests")).json()["items"]
    run = (await client.post(f"/v1/test-configurations/{definitions.configuration_id}/execute")).json()
    asked = {"test_configuration_ids": [definitions.configuration_id]}
    group = (await client.post(f"/v1/test-sets/{definitions.test_set_id}/execute", json=asked)).json()
    task = (await client.post("/v1/tasks", json={"name": "echo"})).json()
    metric = await created(client, "/v1/metrics", METRIC)
    webhook = await created(client, "/v1/webhook-endpoints", WEBHOOK)
    delivery = (await client.post(webhook["links"]["test"])).json()
    return Owned(
        definitions=definitions,
        test_id=tests[0]["id"],
        metric_id=metric["id"],
        run_id=run["test_run_id"],
        run_group_id=group["run_group_id"],
        task_id=task["task_id"],
        webhook_endpoint_id=webhook["id"],
        webhook_delivery_id=delivery["id"],
    )


def operations() -> list[tuple[str, str]]:
    return sorted(
        (method, route.path)
        for route in routes()
        if isinstance(route, Resource)
        and "{" in route.path
        and not route.path.startswith("/v1/admin/")
        and route.path not in OF_THE_DEPLOYMENT
        for method in (route.methods or set()) - {"HEAD"}
    )


def admin_operations() -> list[tuple[str, str]]:
    return sorted(
        (method, route.path)
        for route in routes()
        if isinstance(route, Route) and route.path.startswith("/v1/admin/")
        for method in (route.methods or set()) - {"HEAD"}
    )


@contextmanager
def statements() -> Iterator[list[str]]:
    """What the gateway asks the database meanwhile; not what it may remember of the caller, and no hints."""
    asked: list[str] = []
    fetch = asyncpg.Connection.fetchrow

    def note(statement: str) -> None:
        if not any(word in statement for word in ("api_key(", "pg_notify(")):
            asked.append(statement)

    def by_sqlalchemy(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        note(statement)

    async def directly(connection: asyncpg.Connection, statement: str, *values: Any) -> Any:
        note(statement)
        return await fetch(connection, statement, *values)

    event.listen(Engine, "before_cursor_execute", by_sqlalchemy)
    try:
        with patch.object(asyncpg.Connection, "fetchrow", directly):
            yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", by_sqlalchemy)


def bodiless(response: httpx.Response) -> dict[str, Any]:
    """The problem without what differs between any two requests."""
    return {name: value for name, value in response.json().items() if name not in ("request_id", "trace_id", "detail")}


def test_every_path_is_an_open_one_a_list_or_a_maker_or_has_an_id() -> None:
    plain = {route.path for route in routes() if isinstance(route, Route) and "{" not in route.path}
    assert plain - OF_THE_DEPLOYMENT == LISTS | MAKERS | ADMIN | OPEN | BULK.keys() | {EVENTS, KEYS, AUDIT, CALLER}
    named = {route.path for route in routes() if isinstance(route, Route) and "{" in route.path}
    assert named - OF_THE_DEPLOYMENT - {path for _, path in operations() + admin_operations()} == OPEN_BY_NAME


@pytest.mark.parametrize(("method", "path"), operations())
async def test_another_tenants_id_is_answered_like_one_that_does_not_exist(  # noqa: PLR0917 - fixtures
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient, tenant: Tenant, method: str, path: str
) -> None:
    mine = await owned(api)
    ids = mine.ids() | {"api_key_id": str(tenant.key_id)}
    body = BODIES.get((method, path))
    async with served.client(add_tenant(database)) as stranger:
        await stranger.get("/v1/tasks")  # What is remembered of the caller is known from here on.
        with statements() as asked_for_foreign:
            foreign = await stranger.request(method, path.format(**ids), json=body)
        with statements() as asked_for_unknown:
            unknown = await stranger.request(method, path.format(**{name: str(uuid4()) for name in ids}), json=body)
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert asked_for_foreign == asked_for_unknown != []
    assert bodiless(foreign) == bodiless(unknown)
    for action in ACTIONS:
        path = path.removesuffix(action)
    if ("GET", path) not in operations():
        return  # there is nothing to see but its stream
    owner = (await api.request("GET", path.format(**ids))).json()
    assert owner.get("archived_at") is None
    assert owner.get("status") in (None, "queued", "PENDING", "pending")
    assert owner.get("cancel_requested_at") is None
    assert owner.get("version") in (None, 1)
    assert "theirs" not in (owner.get("name"), owner.get("description"))
    assert owner.get("enabled") in (None, True)
    assert (owner.get("expires_at"), owner.get("revoked_at")) == (None, None)
    assert (await api.get(f"/v1/test-sets/{ids['test_set_id']}")).json()["test_count"] == 1


@pytest.mark.parametrize(("method", "path"), admin_operations())
async def test_what_crosses_organizations_needs_a_scope_that_ordinary_keys_do_not_have(  # noqa: PLR0917 - fixtures
    database: TestDatabase, served: Gateway, api: httpx.AsyncClient, tenant: Tenant, method: str, path: str
) -> None:
    ids = (await owned(api)).ids() | {"queue": "celery", "organization_id": str(tenant.organization_id)}
    body = ADMIN_BODIES.get((method, path))
    path = path.format(**ids)
    refused = await api.request(method, path)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (await api.get(f"/v1/tasks/{ids['task_id']}")).json()["status"] == "PENDING"
    async with served.client(add_tenant(database, scopes=["admin"])) as operator:
        answer = await operator.request(method, path, json=body)
        assert answer.status_code == (201 if method == "POST" and "/organizations" in path else 200)
        # The scope opens nothing else.
        assert (await operator.get("/v1/tasks")).status_code == 403


async def test_lists_hold_only_what_is_the_callers_own(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    mine = await owned(api)
    async with served.client(add_tenant(database)) as stranger:
        for path in sorted(LISTS):
            assert (await stranger.get(path)).json()["items"] == [], path
            assert (await api.get(path)).json()["items"] != [], path
        filters = {"test_configuration_id": mine.definitions.configuration_id, "run_group_id": mine.run_group_id}
        for name, value in filters.items():
            assert (await stranger.get("/v1/test-runs", params={name: value})).json()["items"] == []


async def test_events_are_the_callers_own_also_behind_a_strangers_cursor(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    async with served.client(add_tenant(database)) as stranger:
        start = (await stranger.get(EVENTS)).json()["cursor"]
        mine = await owned(api)
        for after in ("earliest", start):
            own = (await api.get(EVENTS, params={"after": after})).json()
            assert {event["subject"] for event in own["items"]} >= {mine.task_id, mine.run_id}
            assert (await stranger.get(EVENTS, params={"after": after})).json()["items"] == []
            filters = {"after": after, "test_run_id": mine.run_id}
            assert (await stranger.get(EVENTS, params=filters)).json()["items"] == []


@pytest.mark.parametrize(
    ("field", "name"), [("test_configuration_ids", "test_configuration_id"), ("endpoint_ids", "endpoint_id")]
)
async def test_a_test_set_cannot_be_executed_against_what_is_another_tenants(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient, field: str, name: str
) -> None:
    theirs = (await owned(api)).ids()[name]
    async with served.client(add_tenant(database)) as stranger:
        path = f"/v1/test-sets/{(await owned(stranger)).definitions.test_set_id}/execute"
        foreign = await stranger.post(path, json={field: [theirs]})
        unknown = await stranger.post(path, json={field: [str(uuid4())]})
    assert (foreign.status_code, unknown.status_code) == (422, 422)
    assert foreign.json()["errors"] == unknown.json()["errors"]


@pytest.mark.parametrize("field", ["endpoint_id", "test_set_id"])
async def test_a_configuration_cannot_refer_to_another_tenants_definitions(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient, field: str
) -> None:
    theirs = (await owned(api)).ids()
    async with served.client(add_tenant(database)) as stranger:
        own = (await owned(stranger)).ids()
        body = {"name": "x", "endpoint_id": own["endpoint_id"], "test_set_id": own["test_set_id"]}
        response = await stranger.post("/v1/test-configurations", json=body | {field: theirs[field]})
        assert response.status_code == 404


@pytest.mark.parametrize(
    "metric",
    [
        {"type": "metric", "metric_id": "{metric_id}"},
        {"type": "llm_judge", "endpoint_id": "{endpoint_id}", "rubric": "x"},
        {"type": "webhook", "endpoint_id": "{endpoint_id}"},
    ],
)
async def test_a_metric_cannot_refer_to_what_is_another_tenants(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient, metric: dict[str, str]
) -> None:
    theirs = (await owned(api)).ids()
    foreign = {name: value.format(**theirs) for name, value in metric.items()}
    unknown = {name: value.format(**dict.fromkeys(theirs, str(uuid4()))) for name, value in metric.items()}
    async with served.client(add_tenant(database)) as stranger:
        own = (await owned(stranger)).ids()
        ids = {"endpoint_id": own["endpoint_id"], "test_set_id": own["test_set_id"]}
        for refused in (foreign, unknown):
            tests = [{"input": "?", "assertions": [{"type": "equals"}, refused]}]
            answers = [
                await stranger.post("/v1/test-configurations", json={"name": "x", **ids, "metrics": [refused]}),
                await stranger.post("/v1/test-sets", json={"name": "x", "tests": tests}),
                await stranger.post(f"/v1/test-sets/{own['test_set_id']}/tests", json={"tests": tests}),
                await stranger.put(f"/v1/test-sets/{own['test_set_id']}/tests/{own['test_id']}", json=tests[0]),
            ]
            assert [answer.status_code for answer in answers] == [404] * 4
            assert [answer.json()["errors"][0]["pointer"].rsplit("/", 2)[1] for answer in answers] == [
                "0",
                "1",
                "1",
                "1",
            ]


async def test_two_tenants_may_use_the_same_idempotency_key(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "one"}
    async with served.client(add_tenant(database)) as stranger:
        first = await api.post("/v1/test-sets", json=TEST_SET, headers=headers)
        second = await stranger.post("/v1/test-sets", json=TEST_SET, headers=headers)
    assert second.status_code == 201
    assert "idempotent-replayed" not in second.headers
    assert first.json()["id"] != second.json()["id"]


def test_every_table_has_a_forced_policy_with_both_clauses(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as admin:
        rows = admin.execute(
            """
            SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
                   p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}'
                       AND pg_get_expr(p.polqual, c.oid) = pg_get_expr(p.polwithcheck, c.oid),
                   pg_get_expr(p.polqual, c.oid)
            FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant'
            WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p')
            """
        ).fetchall()
    tables = {name for name, *_ in rows}
    assert tables >= TABLES_WITHOUT_TENANT
    assert documented("Tables of no organization") == TABLES_WITHOUT_TENANT
    for name, forced, has_both, expression in rows:
        if name not in TABLES_WITHOUT_TENANT:
            assert forced, name
            assert has_both, name
            assert "app.current_organization" in expression, name


def test_no_other_policy_lets_a_serving_role_see_every_tenant(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as admin:
        rows = admin.execute(
            """
            SELECT c.relname, p.polname, ARRAY(SELECT rolname::text FROM pg_roles WHERE oid = ANY (p.polroles))
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
            WHERE c.relnamespace = 'gateway'::regnamespace AND p.polname <> 'tenant'
            """
        ).fetchall()
    open_to_all = {(name, policy, *roles) for name, policy, roles in rows if roles != ["definer"]}
    assert open_to_all == {("task_event", "tail", "event_reader")}


@pytest.mark.parametrize("role", ["gateway_rw", "worker_rw", "event_reader"])
def test_serving_roles_cannot_touch_the_tables_of_no_tenant(database: TestDatabase, role: str) -> None:
    with psycopg.connect(database.admin_url) as admin:
        for table in sorted(TABLES_WITHOUT_TENANT):
            row = admin.execute(
                "SELECT has_table_privilege(%s, %s, 'SELECT, INSERT, UPDATE, DELETE')", (role, f"gateway.{table}")
            ).fetchone()
            assert row == (False,), (role, table)
