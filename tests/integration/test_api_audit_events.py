"""`GET /v1/audit-events`: an organization reads what was done to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from gateway.auth.keyring import create_key, open_keyring
from tests.definitions import ENDPOINT, TEST_SET, created
from tests.integration.token_holders import holding
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, add_tenant
from tests.stack.identity_provider import IdentityProvider
from workerapp.db.address import DatabaseAddress

EVENTS = "/v1/audit-events"


async def listed(api: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    response = await api.get(EVENTS, params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def actions(api: httpx.AsyncClient, **query: Any) -> list[str]:
    return [event["action"] for event in await listed(api, **query)]


async def test_an_entry_tells_who_did_what_to_which_resource_from_where(api: httpx.AsyncClient, tenant: Tenant) -> None:
    response = await api.post("/v1/api-keys", json={"name": "ci", "scopes": ["runs:read"]})
    newest = (await listed(api))[0]
    assert newest == {
        "id": newest["id"],
        "at": newest["at"],
        "action": "api_key.create",
        "outcome": "done",
        "actor": {"type": "key", "key_id": str(tenant.key_id), "user_id": None, "subject": None},
        "resource": {"type": "api_key", "id": response.json()["id"]},
        "request_id": response.headers["x-request-id"],
        "client_address": "127.0.0.1",
        "details": {"scopes": ["runs:read"], "expires_at": None},
    }


async def test_entries_are_filtered_by_action_actor_resource_and_time(
    api: httpx.AsyncClient, served: Gateway, tenant: Tenant
) -> None:
    endpoint = await created(api, "/v1/endpoints", ENDPOINT)
    other = await created(api, "/v1/api-keys", {"name": "other"})
    async with served.client() as second:
        second.headers["Authorization"] = f"Bearer {other['secret']}"
        await created(second, "/v1/test-sets", TEST_SET)
        await second.delete(endpoint["links"]["self"])
    assert await actions(api, actor=other["id"]) == ["endpoint.archive", "test_set.create"]
    assert await actions(api, actor=str(tenant.key_id)) == ["api_key.create", "endpoint.create"]
    assert await actions(api, action="test_set.create") == ["test_set.create"]
    assert await actions(api, resource_type="endpoint") == ["endpoint.archive", "endpoint.create"]
    assert await actions(api, resource_id=endpoint["id"]) == ["endpoint.archive", "endpoint.create"]
    assert await actions(api, resource_id=endpoint["id"], action="task.submit") == []
    third = (await listed(api))[2]["at"]
    after = (datetime.fromisoformat(third) + timedelta(microseconds=1)).isoformat()
    assert await actions(api, **{"from": third, "to": after}) == ["api_key.create"]
    assert await actions(api, **{"from": after}) == ["endpoint.archive", "test_set.create"]


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"to": "2026-01-01T00:00:00"}, {"actor": "\0"}, {"since": "x"}, {"action": ""}]
)
async def test_a_filter_of_another_form_is_refused(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    response = await api.get(EVENTS, params=query)
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")
    assert next(iter(query)) in response.json()["detail"]


async def test_pages_go_on_where_they_were_whatever_is_done_meanwhile(api: httpx.AsyncClient) -> None:
    for _ in range(5):
        await created(api, "/v1/test-sets", TEST_SET)
    whole, seen, cursor = await listed(api), [], None
    while True:
        query = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.get(EVENTS, params=query)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await created(api, "/v1/endpoints", ENDPOINT)
    assert seen == whole


async def test_who_has_a_token_of_an_identity_provider_is_told_by_its_subject(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    async with (
        trusting.client(tenant) as api,
        holding(trusting, provider.token(tenant.organization_id, sub="anna", scope="runs:write")) as anna,
    ):
        await created(anna, "/v1/endpoints", ENDPOINT)
        assert (await anna.post("/v1/tasks")).status_code == 403
        denied, made = await listed(api, actor="anna")
    assert (made["action"], made["outcome"]) == ("endpoint.create", "done")
    assert (denied["action"], denied["outcome"]) == ("task.submit", "denied")
    assert denied["resource"] == {"type": "task", "id": None}
    assert made["actor"] == {"type": "token", "key_id": None, "user_id": None, "subject": "anna"}


async def test_another_organizations_entries_are_not_read(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    endpoint = await created(api, "/v1/endpoints", ENDPOINT)
    stranger = add_tenant(database)
    async with served.client(stranger) as client:
        assert [event["resource"]["id"] for event in await listed(client)] == [
            str(stranger.key_id),
            str(stranger.organization_id),
        ]
        for query in ({"resource_id": endpoint["id"]}, {"actor": str(tenant.key_id)}):
            assert await actions(client, **query) == []


async def test_what_an_operator_did_to_an_organization_is_told_without_who_and_where_that_was(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    operator = add_tenant(database, ["admin"], "operators")
    async with served.client(operator) as client:
        path = f"/v1/admin/organizations/{tenant.organization_id}/api-keys"
        assert (await client.post(path, json={"name": "first"})).status_code == 201
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as connection:
        create_key(connection, tenant.organization_id, "by hand")
        login = connection.execute("SELECT session_user").fetchone()
    assert login is not None
    by_hand, by_key = (await listed(api, action="api_key.create"))[:2]
    nobody = {"type": "operator", "key_id": None, "user_id": None, "subject": None}
    assert (by_hand["actor"], by_hand["client_address"]) == (nobody, None)
    assert by_key["actor"] == nobody | {"key_id": str(operator.key_id)}
    assert by_key["client_address"] is None
    assert await listed(api, actor=login[0]) == []
    with psycopg.connect(database.admin_url, options="-c search_path=gateway") as admin:
        kept = admin.execute("SELECT subject, client FROM audit_event WHERE actor = 'operator' ORDER BY at").fetchall()
    assert kept[-2:] == [(None, "127.0.0.1"), (login[0], None)]
