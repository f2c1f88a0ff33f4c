"""`/v1/webhook-endpoints`: an organization says where it is told of what, and what signs stays secret."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.streams import eventually
from tests.postgres import TestDatabase
from tests.records import add_webhook_endpoint, connect
from tests.rest import SECRET_KEY, Gateway, Tenant, add_tenant, gateway
from tests.webhooks import end_run
from workerapp.contract.webhook_signing import WebhookSecrets, new_secret, read_secret
from workerapp.contract.webhooks import PATTERNS, WEBHOOK_TYPES
from workerapp.db.sealing import Sealer, new_key, webhook_headers_place, webhook_secrets_place

ENDPOINTS = "/v1/webhook-endpoints"
URL = "https://ci.example.com/hooks"


async def make(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    response = await client.post(ENDPOINTS, json={"url": URL} | asked)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["detail"])


def stored(database: TestDatabase, made: dict[str, Any], column: str) -> Any:
    with connect(database.admin_url) as admin:
        query = f"SELECT {column} FROM webhook_endpoint WHERE id = %s".encode()
        (row,) = admin.execute(query, (made["id"],)).fetchall()
        return row[0]


def signing(database: TestDatabase, tenant: Tenant, made: dict[str, Any]) -> WebhookSecrets:
    """What a worker would sign with."""
    sealed = bytes(stored(database, made, "sealed_secrets"))
    place = webhook_secrets_place(tenant.organization_id, UUID(made["id"]))
    return WebhookSecrets.model_validate_json(Sealer((SECRET_KEY,)).open(sealed, place))


def count(database: TestDatabase, table: str = "webhook_endpoint") -> int:
    with connect(database.admin_url) as admin:
        (row,) = admin.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
        return int(row[0])


# ---------------------------------------------------------------- made and read
async def test_an_endpoint_is_made_and_read_and_its_secret_is_what_will_sign(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    response = await api.post(ENDPOINTS, json={"url": URL})
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    made = response.json()
    assert made["event_types"] == ["test_run.*", "run_group.*"]
    assert (made["kind"], made["enabled"], made["headers"]) == ("subscription", True, {})
    assert read_secret(made["secret"])
    assert signing(database, tenant, made).secret == made["secret"]
    listed, one = await api.get(ENDPOINTS), await api.get(response.headers["location"])
    assert one.json() == listed.json()["items"][0] == {name: made[name] for name in made if name != "secret"}
    assert made["secret"] not in listed.text + one.text
    secret = await api.get(made["links"]["secret"])
    assert secret.headers["cache-control"] == "no-store"
    assert secret.json() == {"webhook_endpoint_id": made["id"], "secret": made["secret"], "previous": []}


async def test_a_given_secret_is_taken_and_two_endpoints_never_get_the_same(api: httpx.AsyncClient) -> None:
    given = new_secret()
    assert (await make(api, secret=given))["secret"] == given
    assert (await make(api))["secret"] != (await make(api))["secret"]


@pytest.mark.parametrize("secret", ["hunter2hunter2hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "!" * 44])
async def test_a_secret_that_would_not_do_is_refused_and_not_repeated(
    api: httpx.AsyncClient, database: TestDatabase, secret: str
) -> None:
    made = await make(api)
    for path in (ENDPOINTS, made["links"]["rotate"]):
        body = {"secret": secret} | ({"url": URL} if path == ENDPOINTS else {})
        response = await api.post(path, json=body)
        assert "24 to 64 random bytes" in refused(response, 422, "validation_failed")
        assert response.json()["errors"][0]["pointer"] == "/secret"
        assert secret.removeprefix("whsec_") not in response.text or secret == "whsec_"
    assert count(database) == 1


@pytest.mark.parametrize("kind", [*WEBHOOK_TYPES, *PATTERNS])
async def test_every_type_and_pattern_there_is_can_be_asked_for(api: httpx.AsyncClient, kind: str) -> None:
    assert (await make(api, event_types=[kind, kind]))["event_types"] == [kind]


@pytest.mark.parametrize(
    "kind",
    ["test_run.progress", "test_run", "test_*", "*.*", "", "webhook_endpoint.test", "TEST_RUN.COMPLETED", "snapshot"],
)
async def test_a_type_that_nobody_is_told_of_is_refused_with_those_there_are(api: httpx.AsyncClient, kind: str) -> None:
    response = await api.post(ENDPOINTS, json={"url": URL, "event_types": ["test_run.*", kind]})
    detail = refused(response, 422, "validation_failed")
    assert response.json()["errors"][0]["pointer"] == "/event_types/1"
    assert all(known in detail for known in (*WEBHOOK_TYPES, *PATTERNS))


async def test_headers_are_sealed_and_their_values_never_answered(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    headers = {"Authorization": "Bearer hunter2", "X-Team": "hunter3"}
    made = await api.post(ENDPOINTS, json={"url": URL, "headers": headers})
    assert made.json()["headers"] == {"Authorization": "***", "X-Team": "***"}
    answers = [made, await api.get(ENDPOINTS), await api.get(made.headers["location"])]
    answers.append(await api.patch(made.headers["location"], json={"description": "x"}))
    assert not any("hunter" in answer.text for answer in answers)
    sealed = bytes(stored(database, made.json(), "sealed_headers"))
    assert b"hunter" not in sealed
    place = webhook_headers_place(tenant.organization_id, UUID(made.json()["id"]))
    assert json.loads(Sealer((SECRET_KEY,)).open(sealed, place)) == headers


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"url": None}, "string"),
        ({"event_types": []}, "at least 1"),
        ({"event_types": ["*"] * 51}, "at most 50"),
        ({"description": "x" * 1001}, "at most 1000"),
        ({"rate_per_second": 0}, "greater than 0"),
        ({"rate_per_second": 10_001}, "10000"),
        ({"headers": {"Webhook-Id": "mine"}}, "set by the gateway"),
        ({"headers": {"webhook-anything": "mine"}}, "set by the gateway"),
        ({"headers": {"Content-Type": "text/plain"}}, "set by the gateway"),
        ({"headers": {"Host": "other.example.com"}}, "cannot be chosen"),
        ({"headers": {"a b": "x"}}, "not a header name"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "set twice"),
        ({"headers": {"X-A": "line\nbreak"}}, "cannot hold"),
        ({"enabled": "yes"}, "boolean"),
        ({"kind": "callback"}, "no such field"),
    ],
)
async def test_what_makes_no_endpoint_is_refused_with_what_would_be_right(
    api: httpx.AsyncClient, database: TestDatabase, asked: dict[str, Any], said: str
) -> None:
    assert said in refused(await api.post(ENDPOINTS, json={"url": URL} | asked), 422, "validation_failed")
    assert count(database) == 0


async def test_endpoints_come_page_by_page_and_only_the_organizations_own(
    served: Gateway, api: httpx.AsyncClient, database: TestDatabase
) -> None:
    made = [(await make(api, description=name))["id"] for name in ("one", "two", "three")]
    first = (await api.get(ENDPOINTS, params={"limit": 2})).json()
    assert [item["id"] for item in first["items"]] == [made[2], made[1]]
    rest = (await api.get(ENDPOINTS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == ([made[0]], None)
    async with served.client(add_tenant(database)) as other:
        assert (await other.get(ENDPOINTS)).json()["items"] == []


async def test_an_organization_has_as_many_subscriptions_as_it_may_however_many_are_made_at_once(
    database: TestDatabase, tenant: Tenant
) -> None:
    with connect(database.admin_url) as admin:
        # Neither another organization's nor a callback counts.
        add_webhook_endpoint(admin, add_tenant(database).organization_id)
        add_webhook_endpoint(admin, tenant.organization_id, kind="callback")
    async with gateway(database.url, max_webhook_endpoints=3) as running, running.client(tenant) as client:
        answers = await asyncio.gather(*(client.post(ENDPOINTS, json={"url": URL}) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
        full = next(answer for answer in answers if answer.status_code == 409)
        assert "3 webhook endpoints" in refused(full, 409, "too_many_webhook_endpoints")
        made = next(answer.json() for answer in answers if answer.status_code == 201)
        assert (await client.delete(made["links"]["self"])).status_code == 204
        await make(client)


async def test_a_repeated_request_makes_no_second_endpoint_and_tells_no_secret(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    once = {"Idempotency-Key": "make"}
    made = (await api.post(ENDPOINTS, json={"url": URL}, headers=once)).json()
    again = await api.post(ENDPOINTS, json={"url": URL}, headers=once)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.headers["cache-control"] == "no-store"
    assert again.json() == {name: value for name, value in made.items() if name != "secret"}
    rotated = (await api.post(made["links"]["rotate"], headers={"Idempotency-Key": "rotate"})).json()
    repeated = await api.post(made["links"]["rotate"], headers={"Idempotency-Key": "rotate"})
    assert repeated.json() == {name: value for name, value in rotated.items() if name != "secret"}
    assert (await api.get(made["links"]["secret"])).json()["secret"] == rotated["secret"]
    with connect(database.admin_url) as admin:
        everything = json.dumps(
            [
                admin.execute(f"SELECT to_jsonb(t) FROM {table} AS t".encode()).fetchall()
                for table in ("idempotency_key", "audit_event", "webhook_endpoint")
            ]
        )
    assert made["id"] in everything
    assert made["secret"] not in everything
    assert rotated["secret"] not in everything


async def test_without_a_key_to_seal_with_no_endpoint_is_made(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, secret_keys=()) as running, running.client(tenant) as client:
        response = await client.post(ENDPOINTS, json={"url": URL})
        assert "GATEWAY_SECRET_KEYS" in refused(response, 422, "secrets_unavailable")
    assert count(database) == 0


async def test_where_no_key_opens_what_is_sealed_that_is_said(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await make(api, headers={"X-Team": "hunter2"})
    async with gateway(database.url, secret_keys=(new_key(),)) as running, running.client(tenant) as client:
        assert (await client.get(made["links"]["self"])).json()["headers"] is None
        refused(await client.get(made["links"]["secret"]), 422, "secrets_unavailable")
        refused(await client.post(made["links"]["rotate"]), 422, "secrets_unavailable")
    assert signing(database, tenant, made).secret == made["secret"]


# ---------------------------------------------------------------- changed and removed
async def test_what_is_given_is_changed_and_all_else_stays(api: httpx.AsyncClient) -> None:
    made = await make(api, description="old", rate_per_second=5, headers={"X-A": "1"})
    made.pop("secret")
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"url": "https://other.example.com/"}, {"url": "https://other.example.com/"}),
        ({"event_types": ["*", "*"]}, {"event_types": ["*"]}),
        ({"description": "new"}, {"description": "new"}),
        ({"description": None}, {"description": None}),
        ({"rate_per_second": 7.5}, {"rate_per_second": 7.5}),
        ({"rate_per_second": None}, {"rate_per_second": None}),
        ({"headers": {"X-B": "2"}}, {"headers": {"X-B": "***"}}),
        ({"url": None, "event_types": None, "headers": None, "enabled": None}, {}),
        ({"headers": {}}, {"headers": {}}),
        ({}, {}),
    ]
    for asked, changed in changes:
        response = await api.patch(made["links"]["self"], json=asked)
        assert response.status_code == 200, response.text
        assert response.json()["updated_at"] > made["updated_at"]
        made |= changed | {"updated_at": response.json()["updated_at"]}
        assert response.json() == made == (await api.get(made["links"]["self"])).json()


async def test_the_secret_is_not_changed_but_rotated(api: httpx.AsyncClient) -> None:
    made = await make(api)
    refused(await api.patch(made["links"]["self"], json={"secret": new_secret()}), 422, "validation_failed")


async def test_a_disabled_endpoint_is_sent_nothing_and_enabled_again_it_begins_anew(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await make(api)
    with connect(database.admin_url) as admin:
        end_run(admin, tenant.organization_id)
        admin.execute("UPDATE webhook_endpoint SET failing_since = now() - interval '1 hour'")
        disabled = (await api.patch(made["links"]["self"], json={"enabled": False})).json()
        assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "request")
        assert disabled["failing_since"] is not None
        end_run(admin, tenant.organization_id)
        statuses = admin.execute("SELECT status FROM webhook_delivery").fetchall()
        assert statuses == [("skipped",), ("skipped",)]
    again = (await api.patch(made["links"]["self"], json={"enabled": False})).json()
    assert again["disabled_at"] == disabled["disabled_at"]
    enabled = (await api.patch(made["links"]["self"], json={"enabled": True})).json()
    assert (enabled["enabled"], enabled["disabled_at"], enabled["disabled_reason"]) == (True, None, None)
    assert enabled["failing_since"] is None
    events = (await api.get("/v1/events", params={"after": "earliest"})).json()["items"]
    assert [event["type"] for event in events if event["subject"] == made["id"]] == ["webhook_endpoint.disabled"]


async def test_why_an_endpoint_was_disabled_stays_true_when_somebody_disables_it_too(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    made = await make(api)
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = 'gone'")
    assert (await api.patch(made["links"]["self"], json={"enabled": False})).json()["disabled_reason"] == "gone"


async def test_an_endpoint_may_begin_disabled(api: httpx.AsyncClient) -> None:
    made = await make(api, enabled=False)
    assert (made["enabled"], made["disabled_reason"]) == (False, "request")
    refused(await api.post(made["links"]["test"]), 409, "webhook_disabled")


async def test_an_endpoint_is_removed_with_its_deliveries(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made, other = await make(api), await make(api)
    with connect(database.admin_url) as admin:
        end_run(admin, tenant.organization_id)
        admin.execute(
            "INSERT INTO webhook_attempt (organization_id, webhook_delivery_id, number)"
            " SELECT organization_id, id, 1 FROM webhook_delivery"
        )
    assert count(database, "webhook_attempt") == 2
    assert (await api.delete(made["links"]["self"])).status_code == 204
    refused(await api.get(made["links"]["self"]), 404, "not_found")
    refused(await api.delete(made["links"]["self"]), 404, "not_found")
    assert count(database, "webhook_attempt") == 1
    left = (await api.get("/v1/webhook-deliveries")).json()["items"]
    assert [delivery["webhook_endpoint_id"] for delivery in left] == [other["id"]]


async def test_an_endpoint_is_removed_while_an_attempt_is_recorded(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await make(api)
    with connect(database.admin_url) as admin, connect(database.admin_url) as other:
        end_run(admin, tenant.organization_id)
        with admin.transaction():
            admin.execute("SELECT FROM webhook_delivery FOR NO KEY UPDATE")
            removing = asyncio.create_task(api.delete(made["links"]["self"]))
            await eventually(lambda: other.execute(WAITING).fetchone() == (1,))
            admin.execute("SELECT FROM webhook_endpoint FOR NO KEY UPDATE")
        assert (await removing).status_code == 204
    assert count(database, "webhook_delivery") == 0


#: How many wait for somebody's lock.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_an_endpoint_of_callbacks_is_disabled_and_removed_but_not_moved(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    with connect(database.admin_url) as admin:
        add_webhook_endpoint(
            admin, tenant.organization_id, kind="callback", url="https://ci.example.com", event_types=[]
        )
    (endpoint,) = (await api.get(ENDPOINTS)).json()["items"]
    assert (endpoint["kind"], endpoint["event_types"]) == ("callback", [])
    path = endpoint["links"]["self"]
    for change in ({"url": URL}, {"event_types": ["*"]}):
        refused(await api.patch(path, json=change), 409, "callback_unchangeable")
    refused(await api.post(endpoint["links"]["test"]), 409, "callback_unchangeable")
    assert (await api.patch(path, json={"enabled": False, "rate_per_second": 1})).json()["enabled"] is False
    assert (await api.delete(path)).status_code == 204


# ---------------------------------------------------------------- rotated
def about(text: str, at: datetime) -> bool:
    return abs(datetime.fromisoformat(text) - at) < timedelta(minutes=1)


async def test_a_rotated_secret_signs_beside_the_new_one_for_the_overlap(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made, given = await make(api), new_secret()
    first = await api.post(made["links"]["rotate"], json={"secret": given, "overlap_seconds": 60})
    assert (first.status_code, first.headers["cache-control"]) == (201, "no-store")
    assert first.headers["location"] == made["links"]["secret"]
    assert first.json()["secret"] == given
    second = (await api.post(made["links"]["rotate"])).json()
    now = datetime.now(UTC)
    assert signing(database, tenant, made).valid(now) == (second["secret"], given, made["secret"])
    assert [about(one["until"], now + life) for one, life in zip(second["previous"], DAY_AND_MINUTE, strict=True)] == [
        True,
        True,
    ]
    assert signing(database, tenant, made).valid(now + timedelta(hours=1)) == (second["secret"], given)
    assert (await api.get(made["links"]["secret"])).json() == second


DAY_AND_MINUTE = (timedelta(days=1), timedelta(minutes=1))


async def test_without_an_overlap_only_the_new_secret_signs(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await make(api)
    new = (await api.post(made["links"]["rotate"], json={"overlap_seconds": 0})).json()
    assert (new["previous"], signing(database, tenant, made).previous) == ([], ())
    assert signing(database, tenant, made).secret == new["secret"] != made["secret"]


async def test_an_overlap_is_as_long_as_the_server_allows_and_so_many_secrets_sign(
    database: TestDatabase, tenant: Tenant
) -> None:
    limits = {"webhook_overlap_max_seconds": 600, "max_webhook_secrets": 2}
    async with gateway(database.url, **limits) as running, running.client(tenant) as client:
        made = await make(client)
        for wrong in (601, -1, "1", 1.5):
            response = await client.post(made["links"]["rotate"], json={"overlap_seconds": wrong})
            refused(response, 422, "validation_failed")
        until = (await client.post(made["links"]["rotate"])).json()["previous"][0]["until"]
        assert about(until, datetime.now(UTC) + timedelta(seconds=600))
        refused(await client.post(made["links"]["rotate"]), 409, "too_many_webhook_secrets")
        ended = await client.post(made["links"]["rotate"], json={"overlap_seconds": 0})
        assert [one["until"] for one in ended.json()["previous"]] == [until]


async def test_rotations_at_once_come_one_after_the_other(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    made = await make(api)
    answers = await asyncio.gather(*(api.post(made["links"]["rotate"]) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {201}
    sealed = signing(database, tenant, made)
    assert {sealed.secret, *(one.secret for one in sealed.previous)} == {
        made["secret"],
        *(answer.json()["secret"] for answer in answers),
    }


async def test_an_id_that_is_nobodys_has_no_secret(api: httpx.AsyncClient) -> None:
    for path in ("secret", "statistics"):
        refused(await api.get(f"{ENDPOINTS}/{uuid4()}/{path}"), 404, "not_found")
