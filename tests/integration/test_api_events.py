"""The streams of tasks and runs over REST: from the snapshot to the terminal event, with resume."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from tests.contract import contract
from tests.definitions import add_configuration
from tests.postgres import TestDatabase
from tests.records import add_run_group, connect
from tests.rest import PATIENCE, Gateway, Tenant, add_tenant, gateway

STREAM = {"Accept": "text/event-stream"}


class Stream:
    """Reads a stream, message by message; each is held against openapi.yaml."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any] | None:
        """The next message, or none at the end."""
        async with asyncio.timeout(PATIENCE):
            number = None
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    number = value
                if name == "data":
                    event: dict[str, Any] = json.loads(value)
                    assert contract().errors({"$ref": "#/components/schemas/Event"}, event) == []
                    assert number == str(event["seq"])
                    return event
            return None

    async def rest(self) -> list[str]:
        """The types of all that is to come."""
        types = []
        while (event := await self.next()) is not None:
            types.append(event["type"])
        return types


def client_of(served: Gateway, tenant: Tenant) -> httpx.AsyncClient:
    """Without the check of whole answers, which would wait for the end of the stream."""
    headers = {"Authorization": f"Bearer {tenant.secret}"}
    return httpx.AsyncClient(base_url=served.url, headers=headers, timeout=PATIENCE, trust_env=False)


def finish(database: TestDatabase, tenant: Tenant, task_id: str, *states: str) -> None:
    with connect(database.admin_url, organization_id=tenant.organization_id) as admin:
        for state in states:
            admin.execute("UPDATE task SET state = %s WHERE id = %s", (state, task_id))


async def test_a_task_is_seen_from_its_snapshot_to_its_end(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    async with client_of(served, tenant) as client, client.stream("GET", task["links"]["events"]) as response:
        stream = Stream(response)
        snapshot = await stream.next()
        assert snapshot is not None
        assert (snapshot["type"], snapshot["seq"], snapshot["data"]["status"]) == ("snapshot", 1, "PENDING")
        finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
        assert await stream.rest() == ["task.started", "task.succeeded"]


async def test_a_cursor_resumes_behind_it_and_zero_gives_everything(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
    path = task["links"]["events"]
    async with client_of(served, tenant) as client:
        async with client.stream("GET", path, headers={"Last-Event-ID": "2"}) as response:
            assert await Stream(response).rest() == ["task.succeeded"]
        async with client.stream("GET", f"{path}?after=0") as response:
            assert await Stream(response).rest() == ["task.pending", "task.started", "task.succeeded"]


async def test_a_cursor_at_the_terminal_event_has_nothing_to_come(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
    response = await api.get(task["links"]["events"], headers=STREAM | {"Last-Event-ID": "3"})
    assert (response.status_code, response.content) == (204, b"")


async def test_a_run_is_seen_to_its_end(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    made = await add_configuration(api)
    run = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()
    async with client_of(served, tenant) as client, client.stream("GET", run["links"]["events"]) as response:
        stream = Stream(response)
        snapshot = await stream.next()
        assert snapshot is not None
        assert (snapshot["subject"], snapshot["data"]["status"]) == (run["test_run_id"], "queued")
        finish(database, tenant, run["task_id"], "FAILURE")
        assert await stream.rest() == ["test_run.failed"]
    assert (await api.get(run["links"]["self"])).json()["reason"] == "The run could not be planned."


async def test_the_end_of_a_finished_subject_is_its_snapshot(
    api: httpx.AsyncClient, database: TestDatabase, tenant: Tenant
) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    finish(database, tenant, task["task_id"], "REVOKED")
    response = await api.get(task["links"]["events"])
    assert response.text.count("data:") == 1
    assert '"snapshot"' in response.text


async def test_group_of_runs_is_streamed_to_its_end(served: Gateway, tenant: Tenant, database: TestDatabase) -> None:
    with connect(database.admin_url, organization_id=tenant.organization_id) as admin:
        group_id = add_run_group(admin, tenant.organization_id, planned=2)
        async with client_of(served, tenant) as client:
            path = f"/v1/run-groups/{group_id}/events"
            async with client.stream("GET", path, headers=STREAM) as response:
                stream = Stream(response)
                snapshot = await stream.next()
                for column, value in (("status", "running"), ("finished", 1), ("status", "partial")):
                    admin.execute(f"UPDATE run_group SET {column} = %s WHERE id = %s", (value, group_id))
                types = await stream.rest()
            admin.execute("UPDATE run_group SET finished_at = now() WHERE id = %s", (group_id,))
            assert (await client.get(path, headers=STREAM | {"Last-Event-ID": "4"})).status_code == 204
    assert snapshot is not None
    assert snapshot["data"] == {"run_group_id": str(group_id), "status": "queued", "total": 2, "finished": 0}
    assert types == ["run_group.progress", "run_group.progress", "run_group.partial"]


async def test_organization_with_too_many_streams_gets_429_and_others_do_not(
    database: TestDatabase, tenant: Tenant
) -> None:
    limit = {"stream": {"max_streams_per_organization": 1}}
    async with (
        gateway(database.url, **limit) as served,
        client_of(served, tenant) as client,
        stream_of(client) as first,
        served.client(tenant) as api,
    ):
        lines = first.aiter_lines()
        await _next_cursor(lines)
        refused = await api.get("/v1/events", headers=STREAM)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert refused.headers["retry-after"] == "5"
        task_id = (await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"]
        assert (await api.get(f"/v1/tasks/{task_id}/events")).status_code == 429
        async with client_of(served, add_tenant(database)) as stranger, stream_of(stranger) as theirs:
            assert theirs.status_code == 200


def stream_of(client: httpx.AsyncClient) -> AbstractAsyncContextManager[httpx.Response]:
    return client.stream("GET", "/v1/events", headers=STREAM)


async def test_organization_is_streamed_with_cursors_that_polling_knows(
    served: Gateway, tenant: Tenant, api: httpx.AsyncClient
) -> None:
    async with client_of(served, tenant) as client, stream_of(client) as response:
        lines = response.aiter_lines()
        cursor = await _next_cursor(lines)
        task_id = (await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"]
        live = await _next_cursor(lines)
    page = (await api.get("/v1/events", params={"after": cursor})).json()
    assert [(event["subject"], event["seq"]) for event in page["items"]] == [(task_id, 1)]
    assert (await api.get("/v1/events", params={"after": live})).json()["items"] == []


async def _next_cursor(lines: AsyncIterator[str]) -> str:
    async with asyncio.timeout(PATIENCE):
        async for line in lines:
            if line.startswith("id: "):
                return line.removeprefix("id: ")
    raise AssertionError("the stream has ended")


async def test_who_asks_for_the_headers_only_leaves_nothing_behind(
    served: Gateway, tenant: Tenant, api: httpx.AsyncClient
) -> None:
    path = (await api.post("/v1/tasks", json={"name": "echo"})).json()["links"]["events"]
    async with client_of(served, tenant) as client:
        for stream in (path, "/v1/events"):
            answer = await client.head(stream, headers=STREAM)
            assert answer.headers["content-type"].startswith("text/event-stream")
    assert len(served.app.state.hub) == 0
