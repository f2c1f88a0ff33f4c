"""A request with an Idempotency-Key does its work once, however often and however concurrently it arrives."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.definitions import ENDPOINT, TEST_SET, add_configuration, add_test_set
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Tenant, gateway

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
TASK: dict[str, Any] = {"name": "echo", "args": ["x"]}


def count(database: TestDatabase, table: str) -> int:
    with connect(database.admin_url) as admin:
        row = admin.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def told(response: httpx.Response) -> dict[str, Any]:
    """What was answered, but for the stream token, which is a new one each time."""
    return {name: value for name, value in response.json().items() if name != "stream_token"}


async def creations(api: httpx.AsyncClient) -> list[tuple[str, dict[str, Any]]]:
    """Every POST that creates something."""
    made = await add_configuration(api)
    configuration = {"name": "x", "endpoint_id": made.endpoint_id, "test_set_id": made.test_set_id}
    return [
        ("/v1/tasks", TASK),
        ("/v1/endpoints", ENDPOINT),
        ("/v1/test-sets", TEST_SET),
        ("/v1/test-configurations", configuration),
        (f"/v1/test-configurations/{made.configuration_id}/execute", {}),
        (f"/v1/test-sets/{made.test_set_id}/execute", {"endpoint_ids": [made.endpoint_id]}),
    ]


async def test_a_repeated_request_gets_the_first_answer_on_every_route(api: httpx.AsyncClient) -> None:
    for number, (path, body) in enumerate(await creations(api)):
        headers = {"Idempotency-Key": f"key-{number}"}
        first = await api.post(path, json=body, headers=headers)
        second = await api.post(path, json=body, headers=headers)
        assert first.is_success, first.text
        assert (second.status_code, told(second)) == (first.status_code, told(first)), path
        assert second.json().keys() == first.json().keys()
        assert second.headers["location"] == first.headers["location"]
        assert second.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers


async def test_a_file_that_is_imported_again_is_imported_once(api: httpx.AsyncClient) -> None:
    path = f"/v1/test-sets/{await add_test_set(api)}/import"
    headers = KEY | {"Content-Type": "application/jsonl"}
    first = await api.post(path, content=b'{"input": "a"}\n', headers=headers)
    second = await api.post(path, content=b'{"input": "a"}\n', headers=headers)
    assert (second.status_code, second.json()) == (200, first.json())
    assert second.json()["test_set"]["test_count"] == 2
    assert second.headers["idempotent-replayed"] == "true"
    for other, query in ((b'{"input": "b"}\n', ""), (b'{"input": "a"}\n', "?mode=replace")):
        refused = await api.post(path + query, content=other, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_same_key_with_another_body_or_path_is_refused(api: httpx.AsyncClient) -> None:
    await api.post("/v1/tasks", json=TASK, headers=KEY)
    other_body = await api.post("/v1/tasks", json=TASK | {"args": ["y"]}, headers=KEY)
    other_path = await api.post("/v1/test-sets", json=TEST_SET, headers=KEY)
    for response in (other_body, other_path):
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")


async def test_quotes_around_the_key_mean_the_same_key(api: httpx.AsyncClient) -> None:
    first = await api.post("/v1/tasks", json=TASK, headers=KEY)
    second = await api.post("/v1/tasks", json=TASK, headers={"Idempotency-Key": f'"{KEY["Idempotency-Key"]}"'})
    assert told(first) == told(second)


async def test_without_a_key_each_request_does_its_work(api: httpx.AsyncClient, database: TestDatabase) -> None:
    for _ in range(2):
        await api.post("/v1/tasks", json=TASK)
    assert count(database, "task") == 2


async def test_concurrent_duplicates_submit_once(api: httpx.AsyncClient, database: TestDatabase) -> None:
    responses = await asyncio.gather(*(api.post("/v1/tasks", json=TASK, headers=KEY) for _ in range(12)))
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["task_id"] for response in responses}) == 1
    assert sum("idempotent-replayed" not in response.headers for response in responses) == 1
    assert (count(database, "task"), count(database, "broker_message")) == (1, 1)


async def test_a_request_that_fails_does_not_use_up_its_key(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api)
    body = {"name": "x", "endpoint_id": made.configuration_id, "test_set_id": made.test_set_id}
    assert (await api.post("/v1/test-configurations", json=body, headers=KEY)).status_code == 404
    body |= {"endpoint_id": made.endpoint_id}
    assert (await api.post("/v1/test-configurations", json=body, headers=KEY)).status_code == 201


async def test_a_key_can_be_used_again_when_its_time_is_over(api: httpx.AsyncClient, database: TestDatabase) -> None:
    first = await api.post("/v1/tasks", json=TASK, headers=KEY)
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE idempotency_key SET created_at = now() - interval '25 hours'")
    second = await api.post("/v1/tasks", json=TASK | {"args": ["other"]}, headers=KEY)
    third = await api.post("/v1/tasks", json=TASK | {"args": ["other"]}, headers=KEY)
    assert second.status_code == 202
    assert second.json()["task_id"] != first.json()["task_id"]
    assert told(third) == told(second)


@pytest.mark.parametrize("finish", ["ROLLBACK", "COMMIT"])
async def test_a_duplicate_waits_for_the_first_and_not_for_ever(
    database: TestDatabase, tenant: Tenant, finish: str
) -> None:
    async with gateway(database.url, idempotency_wait_seconds=0.2) as running, running.client(tenant) as client:
        with connect(database.url, "gateway_rw", tenant.organization_id) as first:
            first.execute("BEGIN")
            first.execute(
                "INSERT INTO idempotency_key (organization_id, key, fingerprint, status, body)"
                " VALUES (%s, %s, '', 202, '\"{}\"')",
                (tenant.organization_id, KEY["Idempotency-Key"]),
            )
            waited = await client.post("/v1/tasks", json=TASK, headers=KEY)
            assert (waited.status_code, waited.json()["code"]) == (409, "idempotency_key_in_use")
            first.execute(finish)
        after = await client.post("/v1/tasks", json=TASK, headers=KEY)
    assert after.status_code == (202 if finish == "ROLLBACK" else 422)


@pytest.mark.parametrize("value", [b"", b"two words", b"x" * 256, b"\xc3\xa9", b'"unclosed'])
async def test_a_malformed_idempotency_key_is_refused(api: httpx.AsyncClient, value: bytes) -> None:
    headers = [(b"Idempotency-Key", value), (b"Content-Type", b"application/json")]
    response = await api.post("/v1/tasks", content=json.dumps(TASK), headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")
