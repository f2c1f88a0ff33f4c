"""`/v1/admin/organizations`: an operator makes an organization and its first key; the rest it does itself."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.auth.keys import TENANT_SCOPES
from tests.definitions import add_configuration
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, add_tenant

ORGANIZATIONS = "/v1/admin/organizations"


@pytest.fixture
async def operator(served: Gateway, database: TestDatabase) -> AsyncGenerator[httpx.AsyncClient]:
    async with served.client(add_tenant(database, ["admin"], name="operators")) as client:
        yield client


async def make(operator: httpx.AsyncClient, name: str = "acme", **headers: str) -> dict[str, Any]:
    response = await operator.post(ORGANIZATIONS, json={"name": name}, headers=headers)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    assert response.headers["location"] == made["links"]["self"]
    return made


async def test_an_organization_and_its_first_key_are_made_and_it_makes_the_next_one_itself(
    served: Gateway, operator: httpx.AsyncClient
) -> None:
    acme = await make(operator)
    assert (acme["name"], acme["live_keys"], acme["test_runs"]) == ("acme", 0, 0)
    asked = {"name": "first", "scopes": [*TENANT_SCOPES]}
    response = await operator.post(acme["links"]["api_keys"], json=asked)
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    first = response.json()
    async with served.client() as client:
        client.headers["Authorization"] = f"Bearer {first['secret']}"
        made = await add_configuration(client)
        await client.post(f"/v1/test-configurations/{made.configuration_id}/execute")
        for _ in range(3):
            task = (await client.post("/v1/tasks", json={"name": "echo"})).json()
        assert (await client.post(task["links"]["cancel"])).status_code == 200
        assert (await client.post("/v1/api-keys", json={"name": "second"})).status_code == 201
        assert (await client.get(response.headers["location"])).json()["id"] == first["id"]
    counted = (await operator.get(acme["links"]["self"])).json()
    load = {"test_runs": 1, "open_test_runs": 1, "queued_tests": 1, "open_tasks": 2}
    assert counted == acme | load | {"live_keys": 2}
    listed = {one["name"]: one for one in (await operator.get(ORGANIZATIONS)).json()["items"]}
    assert listed["acme"] == counted
    assert {name: listed["operators"][name] for name in load} == dict.fromkeys(load, 0)


async def test_a_change_that_the_audit_log_cannot_take_is_not_made(
    operator: httpx.AsyncClient, database: TestDatabase
) -> None:
    own = (await make(operator, "before"))["links"]["self"]
    with connect(database.admin_url) as admin:
        signature = admin.execute("SELECT 'admin_note_audit'::regproc::regprocedure").fetchone()[0]
        admin.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM gateway_rw")
        try:
            assert (await operator.patch(own, json={"name": "after"})).status_code == 500
        finally:
            admin.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO gateway_rw")
    assert (await operator.get(own)).json()["name"] == "before"


async def test_no_key_of_operators_is_made_over_rest(operator: httpx.AsyncClient) -> None:
    acme = await make(operator)
    response = await operator.post(acme["links"]["api_keys"], json={"name": "x", "scopes": ["admin"]})
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
    assert "gateway keys" in response.json()["detail"]
    assert (await operator.get(acme["links"]["self"])).json()["live_keys"] == 0


async def test_a_name_is_an_organizations_alone(operator: httpx.AsyncClient) -> None:
    acme, other = await make(operator), await make(operator, "other")
    for response in (
        await operator.post(ORGANIZATIONS, json={"name": "acme"}),
        await operator.patch(other["links"]["self"], json={"name": "acme"}),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "name_taken")
    renamed = await operator.patch(acme["links"]["self"], json={"name": "acme"})
    assert renamed.json() == acme
    renamed = await operator.patch(acme["links"]["self"], json={"name": "acme-europe"})
    assert renamed.json() == acme | {"name": "acme-europe"}
    assert (await operator.get(other["links"]["self"])).json()["name"] == "other"


async def test_organizations_are_listed_by_name_page_by_page(operator: httpx.AsyncClient) -> None:
    for name in ("b", "c", "a"):
        await make(operator, name)
    first = (await operator.get(ORGANIZATIONS, params={"limit": 3})).json()
    assert [one["name"] for one in first["items"]] == ["a", "b", "c"]
    rest = (await operator.get(ORGANIZATIONS, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["operators"], None)
    assert rest["items"][0]["live_keys"] == 1


async def test_a_cursor_with_a_nul_is_none_of_this_list(operator: httpx.AsyncClient) -> None:
    cursor = base64.urlsafe_b64encode(b'"\\u0000"').decode()
    answer = await operator.get(ORGANIZATIONS, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_a_repeated_request_makes_nothing_and_tells_no_secret(
    operator: httpx.AsyncClient, database: TestDatabase
) -> None:
    acme = await make(operator, **{"Idempotency-Key": "one"})
    assert await make(operator, **{"Idempotency-Key": "one"}) == acme
    headers = {"Idempotency-Key": "two"}
    first, again = [
        await operator.post(acme["links"]["api_keys"], json={"name": "first"}, headers=headers) for _ in range(2)
    ]
    assert again.json() == {name: value for name, value in first.json().items() if name != "secret"}
    with connect(database.admin_url) as admin:
        keys = admin.execute("SELECT count(*) FROM api_key WHERE organization_id = %s", (acme["id"],)).fetchone()
    assert keys == (1,)


async def test_what_is_not_there_is_not_found(operator: httpx.AsyncClient, tenant: Tenant) -> None:
    unknown = f"{ORGANIZATIONS}/{uuid4()}"
    answers = [
        await operator.get(unknown),
        await operator.get(f"{ORGANIZATIONS}/acme"),
        await operator.patch(unknown, json={"name": "x"}),
        await operator.post(f"{unknown}/api-keys", json={"name": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    foreign = {"name": "x", "user_id": str(uuid4())}
    wrong = await operator.post(f"{ORGANIZATIONS}/{tenant.organization_id}/api-keys", json=foreign)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/user_id")
