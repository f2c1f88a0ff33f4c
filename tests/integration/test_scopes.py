"""Which scope each route needs, and that a key without it is told so, whatever else it may do."""

from __future__ import annotations

from uuid import uuid4

import pytest
from starlette.routing import Route

from gateway.api.answers import WEBSOCKET
from gateway.api.routing import Operation, Resource
from gateway.auth.keys import DEFAULT_SCOPES, Scope
from gateway.routes import routes
from tests.postgres import TestDatabase
from tests.rest import Gateway, add_tenant

#: What needs none.
OPEN_TO_ALL_KEYS = ("GET", "/v1/caller")


def operations() -> list[tuple[str, str]]:
    return sorted(
        (method, route.path)
        for route in routes()
        if isinstance(route, Route) and route.path.startswith("/v1/") and route.path != WEBSOCKET
        for method in (route.methods or set()) - {"HEAD"}
        if (method, route.path) != OPEN_TO_ALL_KEYS
    )


def scope_of(method: str, path: str) -> Scope:
    collection = path.split("/")[2]
    if collection == "admin":
        return Scope.ADMIN
    if collection in ("api-keys", "audit-events"):
        return Scope.KEYS_MANAGE
    if collection in ("webhook-endpoints", "webhook-deliveries"):
        return Scope.WEBHOOKS_MANAGE
    if path.endswith("/events") or collection == "stream-tickets":
        return Scope.EVENTS_READ
    if method == "GET":
        return Scope.RUNS_READ
    return Scope.TASKS_SUBMIT if collection == "tasks" else Scope.RUNS_WRITE


@pytest.mark.parametrize(("method", "path"), operations())
async def test_a_route_needs_one_scope_and_names_it_beside_those_the_key_has(
    served: Gateway, database: TestDatabase, method: str, path: str
) -> None:
    needed = scope_of(method, path)
    others = sorted({*Scope} - {needed})
    async with served.client(add_tenant(database, others)) as client:
        refused = await client.request(method, path.format_map(Ids()))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert refused.json()["detail"] == f'This needs a key with the scope "{needed}"; yours has {", ".join(others)}.'


def test_only_what_tells_callers_of_themselves_needs_no_scope() -> None:
    without = [
        (method.upper(), route.path)
        for route in routes()
        if isinstance(route, Resource)
        for method, operation in route.operations.items()
        if isinstance(operation, Operation) and operation.scope is None
    ]
    assert without == [OPEN_TO_ALL_KEYS]


async def test_a_key_gets_what_its_organizations_runs_tasks_and_streams_need_unless_scopes_are_named(
    served: Gateway, database: TestDatabase
) -> None:
    assert {*Scope} - {*DEFAULT_SCOPES} == {Scope.WEBHOOKS_MANAGE, Scope.KEYS_MANAGE, Scope.ADMIN}
    async with served.client(add_tenant(database, DEFAULT_SCOPES)) as client:
        for path in ("/v1/tasks", "/v1/test-runs", "/v1/events"):
            assert (await client.get(path)).status_code == 200
        assert (await client.post("/v1/tasks", json={"name": "echo"})).status_code == 202
        for path in ("/v1/api-keys", "/v1/webhook-endpoints"):
            assert (await client.get(path)).status_code == 403


class Ids(dict[str, str]):
    """An unknown id for every parameter of a path."""

    def __missing__(self, _: str) -> str:
        return str(uuid4())
