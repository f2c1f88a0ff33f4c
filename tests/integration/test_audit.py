"""The audit log: each accepted request that changes something has one entry, and no entry is without its change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.routing import reads, resource, writes
from tests.definitions import ENDPOINT, TEST_SET, WEBHOOK
from tests.integration.audit_log import Entry, changing_operations, entries
from tests.integration.test_isolation import ADMIN_BODIES, BODIES, owned
from tests.postgres import TestDatabase
from tests.records import act_for, connect, plan
from tests.rest import Gateway, Tenant, add_tenant
from tests.stack.process import ROOT
from workerapp.contract.caller import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPERATIONS = sorted(changing_operations())
#: What is sent, where that is not what the tests of isolation send, or nothing.
SENT: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/tasks"): {"name": "echo"},
    ("POST", "/v1/endpoints"): ENDPOINT,
    ("POST", "/v1/endpoints/{endpoint_id}/invoke"): {"input": "?"},
    ("POST", "/v1/test-sets"): TEST_SET,
    ("POST", "/v1/metrics"): {"name": "another", "spec": {"type": "equals"}},
    ("POST", "/v1/api-keys"): {"name": "another"},
    ("POST", "/v1/webhook-endpoints"): WEBHOOK,
}
NOBODYS = UUID(int=7)
IMPORT = {"content": b'{"input": "?"}\n', "headers": {"Content-Type": "application/x-ndjson"}}


@pytest.fixture(scope="module")
def database(module_database: TestDatabase) -> TestDatabase:
    return module_database


@pytest.fixture(scope="module")
def served(module_gateway: Gateway) -> Gateway:
    return module_gateway


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(database: TestDatabase) -> Tenant:
    return add_tenant(database)


@pytest_asyncio.fixture(loop_scope="module")
async def api(served: Gateway, tenant: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client(tenant) as client:
        yield client


class Log:
    """The entries that are written from now on."""

    def __init__(self, database: TestDatabase) -> None:
        self._url = database.admin_url
        self._before = {entry["id"] for entry in entries(self._url)}

    def news(self) -> list[Entry]:
        return [entry for entry in entries(self._url) if entry["id"] not in self._before]


@pytest.fixture
def log(database: TestDatabase, tenant: Tenant) -> Log:
    return Log(database)


def ended_run(database: TestDatabase, tenant: Tenant) -> str:
    with connect(database.admin_url) as admin:
        act_for(admin, tenant.organization_id)
        run = plan(admin, tenant.organization_id, 1)
        admin.execute("UPDATE test_result SET status = 'fail' WHERE test_run_id = %s", (run.id,))
        admin.execute("UPDATE test_run SET status = 'partial', finished_at = now() WHERE id = %s", (run.id,))
    return str(run.id)


async def ids_of(api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant, path: str) -> dict[str, str]:
    ids = (await owned(api)).ids() | {"queue": "celery", "organization_id": str(tenant.organization_id)}
    ids["api_key_id"] = (await api.post("/v1/api-keys", json={"name": "other"})).json()["id"]
    if path.endswith(("/retry", "/rerun", "/rescore")):
        ids["test_run_id"] = ended_run(database, tenant)
    return ids


def body_of(method: str, path: str, ids: dict[str, str]) -> dict[str, Any]:
    if path.endswith("/import"):
        return IMPORT
    body = {**BODIES, **ADMIN_BODIES, **SENT}.get((method, path))
    if path.endswith("/reorder"):
        body = {"test_ids": [ids["test_id"]]}
    if path == "/v1/test-sets/{test_set_id}/execute":
        body = {"test_configuration_ids": [ids["test_configuration_id"]]}
    if (method, path) == ("POST", "/v1/test-configurations"):
        body = {"name": "x", "endpoint_id": ids["endpoint_id"], "test_set_id": ids["test_set_id"]}
    if path.startswith("/v1/admin/organizations") and body is not None:
        body |= {"name": str(uuid4())}
    return {"json": body, "headers": {"Prefer": "wait=0"}}


@pytest.mark.parametrize(("method", "path", "action"), OPERATIONS)
async def test_a_request_that_changes_something_has_one_entry(  # noqa: PLR0917 - fixtures
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient, tenant: Tenant, method: str, path: str, action: str
) -> None:
    ids = await ids_of(api, database, tenant, path)
    is_operators = path.startswith("/v1/admin/")
    operator = add_tenant(database, ["admin"])
    log = Log(database)
    async with served.client(operator if is_operators else tenant) as client:
        response = await client.request(method, path.format(**ids), **body_of(method, path, ids))
    assert response.status_code < 300, response.text
    (entry,) = log.news()
    assert (entry["action"], entry["outcome"], entry["client"]) == (action, "done", "127.0.0.1")
    assert entry["request_id"] == response.headers["x-request-id"]
    assert entry["key_id"] == (operator if is_operators else tenant).key_id
    assert entry["actor"] == ("operator" if is_operators else "key")
    kind = action.partition(".")[0]
    made = response.headers.get("location", "/").rpartition("/")[2] or None
    assert (entry["resource_type"], entry["resource_id"]) == (
        kind,
        ids.get(kind if kind == "queue" else f"{kind}_id") if f"{{{kind}" in path else made,
    )
    if path == "/v1/admin/organizations":
        assert str(entry["organization_id"]) == response.json()["id"]
    elif path == "/v1/admin/queues/{queue}/purge":
        assert entry["organization_id"] == operator.organization_id
    else:
        assert entry["organization_id"] == tenant.organization_id


async def test_the_document_of_security_names_every_action() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    assert [action for _, _, action in OPERATIONS if f"`{action}`" not in text] == []


async def test_a_route_that_changes_something_cannot_be_made_without_an_action() -> None:
    async def handler(_: Request, __: Caller) -> Response:
        return Response()

    for operations in ({"post": reads(handler)}, {"get": writes(handler, "thing.read")}):
        with pytest.raises(ValueError, match="has an action"):
            resource("/v1/things", **operations)


async def test_what_a_run_was_made_of_and_what_was_made_are_told(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    mine, log = await owned(api), Log(database)
    configuration_id = mine.definitions.configuration_id
    made = await api.post(f"/v1/test-configurations/{configuration_id}/execute")
    (entry,) = log.news()
    assert (entry["resource_id"], entry["details"]) == (configuration_id, {"made": made.headers["location"]})


async def test_an_id_is_told_in_its_one_form_however_it_was_asked_for(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    endpoint_id = (await owned(api)).definitions.endpoint_id
    log = Log(database)
    assert (await api.delete(f"/v1/endpoints/{endpoint_id.upper()}")).status_code == 204
    assert [entry["resource_id"] for entry in log.news()] == [endpoint_id]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/endpoints", {"name": "x"}, 422),
        ("POST", "/v1/endpoints", ENDPOINT | {"url": "http://127.0.0.1/"}, 422),
        ("DELETE", f"/v1/endpoints/{NOBODYS}", None, 404),
        ("POST", f"/v1/test-runs/{NOBODYS}/cancel", None, 404),
        ("PATCH", f"/v1/api-keys/{NOBODYS}", {"name": "x"}, 404),
        ("POST", "/v1/tasks", {"name": "forbidden"}, 422),
    ],
)
async def test_a_request_that_is_refused_has_no_entry(  # noqa: PLR0917 - fixtures
    api: httpx.AsyncClient, log: Log, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    assert (await api.request(method, path, json=body)).status_code == status
    assert log.news() == []


async def test_a_change_that_cannot_be_entered_is_not_made(
    api: httpx.AsyncClient, database: TestDatabase, log: Log
) -> None:
    made = (await api.post("/v1/test-sets", json=TEST_SET)).json()
    with connect(database.admin_url) as admin:
        admin.execute("REVOKE INSERT ON audit_event FROM gateway_rw")
        try:
            assert (await api.post("/v1/test-sets", json=TEST_SET)).status_code == 500
            assert (await api.delete(made["links"]["self"])).status_code == 500
        finally:
            admin.execute("GRANT INSERT ON audit_event TO gateway_rw")
    assert [item["id"] for item in (await api.get("/v1/test-sets")).json()["items"]] == [made["id"]]
    assert len(log.news()) == 1


async def test_a_request_that_is_repeated_with_its_idempotency_key_has_one_entry(
    api: httpx.AsyncClient, log: Log
) -> None:
    for _ in range(2):
        answer = await api.post("/v1/test-sets", json=TEST_SET, headers={"Idempotency-Key": "once"})
        assert answer.status_code == 201
    assert [entry["action"] for entry in log.news()] == ["test_set.create"]


async def test_a_change_that_is_denied_for_want_of_the_scope_has_one_entry_a_minute(
    served: Gateway, database: TestDatabase
) -> None:
    reader, other = add_tenant(database, ["runs:read"]), add_tenant(database, ["runs:read"])
    log = Log(database)
    async with served.client(reader) as client, served.client(other) as stranger:
        for _ in range(3):
            assert (await client.delete("/v1/endpoints/%00")).status_code == 403
        assert (await client.post("/v1/tasks")).status_code == 403
        assert (await stranger.post("/v1/tasks")).status_code == 403
        # What only reads is not in the log, whoever asks.
        assert (await client.get("/v1/api-keys")).status_code == 403
    assert [(entry["organization_id"], entry["action"], entry["outcome"]) for entry in log.news()] == [
        (reader.organization_id, "endpoint.archive", "denied"),
        (reader.organization_id, "task.submit", "denied"),
        (other.organization_id, "task.submit", "denied"),
    ]
    with connect(database.admin_url) as admin:
        admin.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_kept")
        admin.execute("UPDATE audit_event SET at = at - interval '1 minute' WHERE outcome = 'denied'")
        admin.execute("ALTER TABLE audit_event ENABLE TRIGGER audit_event_kept")
    async with served.client(reader) as client:
        assert (await client.post("/v1/tasks")).status_code == 403
    assert len(log.news()) == 4


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_event SET action = 'x.y'", "DELETE FROM audit_event", "TRUNCATE audit_event"]
)
async def test_no_role_changes_or_removes_an_entry(database: TestDatabase, tenant: Tenant, statement: str) -> None:
    before = entries(database.admin_url)
    for role in (None, "definer", "gateway_rw", "worker_rw"):
        with (
            connect(database.admin_url, role, tenant.organization_id) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
    assert entries(database.admin_url) == before


async def test_an_entry_cannot_be_written_for_another_organization(database: TestDatabase, tenant: Tenant) -> None:
    row = "INSERT INTO audit_event (organization_id, actor, action, resource_type) VALUES (%s, 'key', 'x.y', 'x')"
    with connect(database.admin_url, "gateway_rw", tenant.organization_id) as connection:
        for owner in (UUID(int=1), None):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(row, (owner,))
        connection.execute(row, (tenant.organization_id,))
