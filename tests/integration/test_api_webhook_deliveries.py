"""`/v1/webhook-deliveries`: what is sent, what became of it, and sending it again; trying an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.contract import contract
from tests.integration.test_api_webhook_endpoints import ENDPOINTS, make, refused
from tests.integration.test_webhook_outbox import (
    Sender,
    delivered,
    deliveries,
    disable,
    end_run,
    failed,
    only,
    sender,
)
from tests.postgres import TestDatabase
from tests.records import act_for, add_organization, add_task, add_webhook_endpoint, connect, plan, plan_group
from tests.rest import Tenant, gateway
from workerapp.contract.webhooks import TEST_TYPE, WEBHOOK_TYPES

__all__ = ["sender"]

DELIVERIES = "/v1/webhook-deliveries"
AGO = timedelta(hours=1)


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


def cause(admin: psycopg.Connection, organization_id: UUID, kind: str) -> None:
    """Let an event of the type happen, which comes of what there is at such an end."""
    family, _, end = kind.partition(".")
    ended = {"status": end, "finished_at": datetime.now(UTC)}
    if family == "test_run":
        change(admin, "test_run", plan(admin, organization_id, 2).id, ended)
    elif family == "run_group":
        change(admin, "run_group", plan_group(admin, organization_id, runs=2, tests=1).id, ended)
    elif family == "task":
        state = {"succeeded": "SUCCESS", "failed": "FAILURE", "revoked": "REVOKED"}[end]
        change(admin, "task", add_task(admin, organization_id), {"state": state, "finished_at": datetime.now(UTC)})
    else:
        disable(admin, add_webhook_endpoint(admin, organization_id, description="another"))


def change(admin: psycopg.Connection, table: str, key: Any, columns: dict[str, Any]) -> None:
    sets = ", ".join(f"{name} = %({name})s" for name in columns)
    admin.execute(f"UPDATE {table} SET {sets} WHERE id = %(key)s".encode(), columns | {"key": key})


def age(admin: psycopg.Connection, by: timedelta = AGO) -> None:
    """Let what was made so far be older."""
    admin.execute("UPDATE webhook_delivery SET created_at = created_at - %s", (by,))


async def listed(api: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(DELIVERIES, params=wanted)).json()["items"]
    return items


# ---------------------------------------------------------------- what is sent
@pytest.mark.parametrize("kind", WEBHOOK_TYPES)
async def test_what_is_sent_of_an_event_is_what_the_document_says(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, kind: str
) -> None:
    made = await make(api, event_types=[kind])
    cause(admin, tenant.organization_id, kind)
    (delivery,) = await listed(api, webhook_endpoint_id=made["id"])
    payload = (await api.get(delivery["links"]["self"])).json()["payload"]
    assert payload["type"] == delivery["event_type"] == kind
    assert contract().payload_errors(payload) == []
    assert payload["data"]["organization_id"] == str(tenant.organization_id)
    for path in payload["data"]["links"].values():
        assert (await api.get(path)).status_code == 200, path


@pytest.mark.parametrize(
    "change_of_it",
    [{"type": "task.failed"}, {"more": 1}, {"timestamp": 1767603600}, {"data": {"test_run_id": "x"}}],
)
async def test_a_body_that_is_not_as_the_document_says_is_noticed(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, change_of_it: dict[str, Any]
) -> None:
    await make(api)
    cause(admin, tenant.organization_id, "test_run.completed")
    (delivery,) = deliveries(admin)
    schema = contract().document["webhooks"]["test_run.completed"]["post"]["requestBody"]["content"]["application/json"]
    assert contract().errors(schema["schema"], delivery["payload"]) == []
    assert contract().errors(schema["schema"], delivery["payload"] | change_of_it) != []


async def test_a_task_with_everything_there_is_to_tell_is_as_the_document_says(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    await make(api, event_types=["task.*"])
    act_for(admin, tenant.organization_id)
    for size in (1, 5000):
        task_id = add_task(admin, tenant.organization_id, worker="celery@host", queue="celery")
        admin.execute(
            "UPDATE task SET state = 'FAILURE', result = to_jsonb(repeat('x', %s)), progress = '{\"done\": 1}',"
            ' error = \'{"exc_type": "ValueError", "exc_message": ["no"]}\', finished_at = now() WHERE id = %s',
            (size, task_id),
        )
    omitted, told = (delivery["payload"] for delivery in reversed(deliveries(admin)))
    assert contract().payload_errors(omitted) == contract().payload_errors(told) == []
    assert (told["data"]["result"], omitted["data"]["result_omitted"]) == ("x", True)
    assert told["data"]["error"] == {"type": "ValueError", "message": "no"}


async def test_a_test_is_a_delivery_of_its_own_type_which_nobody_else_gets(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    made, _ = await make(api), await make(api, event_types=["*"])
    response = await api.post(made["links"]["test"])
    assert response.status_code == 202
    delivery = response.json()
    assert response.headers["location"] == delivery["links"]["self"]
    assert delivery == (await api.get(delivery["links"]["self"])).json()
    assert (delivery["status"], delivery["event_type"], delivery["subject_id"]) == ("pending", TEST_TYPE, made["id"])
    assert contract().payload_errors(delivery["payload"]) == []
    assert len(deliveries(admin)) == 1


async def test_a_test_that_is_asked_for_twice_with_one_key_is_one(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    made = await make(api)
    answers = [await api.post(made["links"]["test"], headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(deliveries(admin)) == 1


async def test_a_sender_gets_the_test_with_what_signs_and_the_attempt_is_told(
    api: httpx.AsyncClient, sender: Sender
) -> None:
    made = await make(api)
    delivery = (await api.post(made["links"]["test"])).json()
    taken = only(sender.take())
    assert (str(taken["id"]), taken["url"], taken["payload"]) == (delivery["id"], made["url"], delivery["payload"])
    assert (await api.get(delivery["links"]["self"])).json()["attempts"] == 1
    sender.record(failed(taken, error="The receiver answered 500.", excerpt="oh no"))
    after = (await api.get(delivery["links"]["self"])).json()
    assert (after["status"], after["http_status"], after["error"]) == ("exhausted", 500, "The receiver answered 500.")
    assert (after["next_attempt_at"], after["finished_at"] is not None) == (None, True)
    (attempt,) = (await api.get(delivery["links"]["attempts"])).json()["items"]
    assert {name: attempt[name] for name in ("number", "http_status", "error", "response_excerpt", "duration_ms")} == {
        "number": 1,
        "http_status": 500,
        "error": "The receiver answered 500.",
        "response_excerpt": "oh no",
        "duration_ms": 10.0,
    }


# ---------------------------------------------------------------- lists
async def test_deliveries_are_found_by_their_status_endpoint_type_and_subject_and_come_page_by_page(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    one, other = await make(api), await make(api)
    runs = [end_run(admin, tenant.organization_id) for _ in range(3)]
    disable(admin, UUID(other["id"]))
    everything = await listed(api)
    assert [delivery["id"] for delivery in everything] == sorted((d["id"] for d in everything), reverse=True)
    assert len(everything) == 6
    assert all("payload" not in delivery for delivery in everything)
    mine = await listed(api, webhook_endpoint_id=one["id"])
    assert [delivery["subject_id"] for delivery in mine] == [str(run_id) for run_id in reversed(runs)]
    assert {d["webhook_endpoint_id"] for d in await listed(api, status="skipped")} == {other["id"]}
    assert len(await listed(api, status="pending", subject_id=str(runs[0]), event_type="test_run.failed")) == 1
    assert await listed(api, event_type="test_run.completed") == []
    wanted: dict[str, Any] = {"limit": 2, "webhook_endpoint_id": one["id"]}
    first = (await api.get(DELIVERIES, params=wanted)).json()
    rest = (await api.get(DELIVERIES, params=wanted | {"cursor": first["next_cursor"]})).json()
    assert [*first["items"], *rest["items"]] == mine
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("wanted", [{"status": "lost"}, {"webhook_endpoint_id": "x"}, {"event_type": ""}, {"limit": 0}])
async def test_a_filter_that_cannot_be_is_refused(api: httpx.AsyncClient, wanted: dict[str, Any]) -> None:
    refused(await api.get(DELIVERIES, params=wanted), 422, "validation_failed")


async def test_attempts_come_page_by_page(api: httpx.AsyncClient, admin: psycopg.Connection) -> None:
    delivery = (await api.post((await make(api))["links"]["test"])).json()
    admin.execute(
        "INSERT INTO webhook_attempt (organization_id, webhook_delivery_id, number, error)"
        " SELECT organization_id, id, number, 'timeout' FROM webhook_delivery, generate_series(1, 3) AS number"
    )
    path = delivery["links"]["attempts"]
    first = (await api.get(path, params={"limit": 2})).json()
    assert [attempt["number"] for attempt in first["items"]] == [3, 2]
    rest = (await api.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([attempt["number"] for attempt in rest["items"]], rest["next_cursor"]) == ([1], None)


# ---------------------------------------------------------------- again
@pytest.mark.parametrize("outcome", [delivered, failed])
async def test_a_delivery_is_sent_again_with_its_id_and_all_its_attempts_before_it(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, sender: Sender, outcome: Any
) -> None:
    await make(api)
    end_run(admin, tenant.organization_id)
    taken = only(sender.take())
    admin.execute("UPDATE webhook_delivery SET schedule_place = 3")  # The schedule of these tests ends here.
    sender.record(outcome(taken))
    (before,) = await listed(api)
    assert before["status"] in ("delivered", "exhausted")
    response = await api.post(before["links"]["resend"])
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    assert response.json()["id"] == before["id"]
    assert (only(deliveries(admin))["schedule_place"], response.json()["finished_at"]) == (0, None)
    again = only(sender.take())
    assert (again["id"], again["attempt"], again["payload"]) == (taken["id"], 2, taken["payload"])


async def test_what_is_on_its_way_is_not_sent_twice(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, sender: Sender
) -> None:
    await make(api)
    end_run(admin, tenant.organization_id)
    taken = only(sender.take())
    (delivery,) = await listed(api)
    assert (await api.post(delivery["links"]["resend"])).json() == (await api.get(delivery["links"]["self"])).json()
    assert sender.take() == []
    sender.record(delivered(taken))
    assert (await listed(api))[0]["status"] == "delivered"


async def test_nothing_is_sent_again_to_a_disabled_endpoint(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    made = await make(api)
    end_run(admin, tenant.organization_id)
    await api.patch(made["links"]["self"], json={"enabled": False})
    (delivery,) = await listed(api)
    everything = {"since": "2020-01-01T00:00:00Z"}
    for response in (
        await api.post(delivery["links"]["resend"]),
        await api.post(made["links"]["recover"], json=everything),
        await api.post(made["links"]["test"]),
    ):
        assert "enable it" in refused(response, 409, "webhook_disabled")
    assert [row["status"] for row in deliveries(admin)] == ["skipped"]
    await api.patch(made["links"]["self"], json={"enabled": True})
    assert (await api.post(made["links"]["recover"], json=everything)).json() == {"recovered": 1, "more": False}
    assert [row["status"] for row in deliveries(admin)] == ["pending"]


async def test_what_was_not_delivered_in_a_time_is_recovered_and_nothing_else(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant
) -> None:
    made, other = await make(api), await make(api)
    for status in ("skipped", "exhausted", "delivered", "pending"):
        end_run(admin, tenant.organization_id)
        ended = {
            "status": status,
            "finished_at": None if status == "pending" else datetime.now(UTC),
            "schedule_place": 3,
        }
        for row in deliveries(admin)[-2:]:
            change(admin, "webhook_delivery", row["id"], ended)
    tested = (await api.post(made["links"]["test"])).json()
    change(admin, "webhook_delivery", tested["id"], {"status": "exhausted", "finished_at": datetime.now(UTC)})
    before = {row["id"]: row["status"] for row in deliveries(admin)}
    path, now = made["links"]["recover"], datetime.now(UTC)
    for since, until in ((now - 2 * AGO, now - AGO), (now + AGO, None)):
        body = {"since": since.isoformat(), "until": until and until.isoformat()}
        assert (await api.post(path, json=body)).json() == {"recovered": 0, "more": False}
    body = {"since": (now - AGO).isoformat(), "until": (now + AGO).isoformat()}
    response = await api.post(path, json=body)
    assert (response.status_code, response.json()) == (202, {"recovered": 2, "more": False})
    changed = [row for row in deliveries(admin) if row["status"] != before[row["id"]]]
    assert {str(row["webhook_endpoint_id"]) for row in changed} == {made["id"]} != {other["id"]}
    assert {(row["status"], row["schedule_place"], row["finished_at"]) for row in changed} == {("pending", 0, None)}
    assert {before[row["id"]] for row in changed} == {"skipped", "exhausted"}


async def test_so_many_are_recovered_at_once_the_oldest_first(
    database: TestDatabase, admin: psycopg.Connection, tenant: Tenant
) -> None:
    async with gateway(database.url, max_deliveries_recovered=2) as running, running.client(tenant) as client:
        made = await make(client, enabled=False)
        for _ in range(3):
            end_run(admin, tenant.organization_id)
        await client.patch(made["links"]["self"], json={"enabled": True})
        body = {"since": (datetime.now(UTC) - AGO).isoformat()}
        assert (await client.post(made["links"]["recover"], json=body)).json() == {"recovered": 2, "more": True}
        assert [row["status"] for row in deliveries(admin)] == ["pending", "pending", "skipped"]
        assert (await client.post(made["links"]["recover"], json=body)).json() == {"recovered": 1, "more": False}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    ],
)
async def test_a_recovery_of_no_time_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    made = await make(api)
    refused(await api.post(made["links"]["recover"], json=body), 422, "validation_failed")


async def test_statistics_count_what_there_is_of_one_endpoint(
    api: httpx.AsyncClient, admin: psycopg.Connection, tenant: Tenant, sender: Sender
) -> None:
    made, other = await make(api), await make(api)
    path = made["links"]["statistics"]
    nothing = {"pending": 0, "delivered": 0, "exhausted": 0, "skipped": 0, "oldest_pending_at": None}
    assert (await api.get(path)).json() == nothing | {"last_attempt": None}
    end_run(admin, tenant.organization_id)
    age(admin)
    end_run(admin, tenant.organization_id)
    mine = [row for row in sender.take() if str(row["webhook_endpoint_id"]) == made["id"]]
    sender.record(delivered(only(mine), duration_ms=7.5))
    found = (await api.get(path)).json()
    oldest = only([row for row in await listed(api, webhook_endpoint_id=made["id"]) if row["status"] == "pending"])
    assert (found["pending"], found["delivered"], found["oldest_pending_at"]) == (1, 1, oldest["created_at"])
    last = found["last_attempt"]
    assert (last["webhook_delivery_id"], last["http_status"]) == (str(only(mine)["id"]), 204)
    assert (last["duration_ms"], last["error"]) == (7.5, None)
    assert (await api.get(other["links"]["statistics"])).json()["pending"] == 2


async def test_another_organizations_deliveries_are_not_counted_or_recovered(
    api: httpx.AsyncClient, admin: psycopg.Connection
) -> None:
    stranger = add_organization(admin)
    theirs = add_webhook_endpoint(admin, stranger)
    end_run(admin, stranger)
    disable(admin, theirs)
    assert await listed(api) == []
    assert await listed(api, webhook_endpoint_id=str(theirs)) == []
    body = {"since": "2020-01-01T00:00:00Z"}
    refused(await api.post(f"{ENDPOINTS}/{theirs}/recover", json=body), 404, "not_found")
    assert [row["status"] for row in deliveries(admin)] == ["skipped"]
