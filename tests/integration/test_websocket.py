"""Many streams over one WebSocket: the same events and cursors as over SSE, and errors that end nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest

from tests.integration.streams import eventually
from tests.integration.test_api_events import finish
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import PATIENCE, Gateway, Tenant, add_tenant, gateway

WS = "/v1/ws"


class Socket:
    """A client's end: sends messages, and reads those of each subscription."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send_str(json.dumps(message))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            message = await self.connection.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        body: dict[str, Any] = json.loads(message.data)
        return body

    async def subscribe(self, name: str, to: str, **options: Any) -> dict[str, Any]:
        await self.send(type="subscribe", id=name, to=to, **options)
        return await self.next()

    async def until_closed(self) -> int:
        async with asyncio.timeout(PATIENCE):
            while (message := await self.connection.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert message.type is aiohttp.WSMsgType.CLOSE
        code: int = message.data
        return code


@asynccontextmanager
async def connected(served: Gateway, tenant: Tenant | None = None, **options: Any) -> AsyncGenerator[Socket]:
    headers = {"Authorization": f"Bearer {tenant.secret}"} if tenant else {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(served.url + WS, headers=headers, **options) as connection,
    ):
        yield Socket(connection)


async def submit(api: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    return answer


async def test_task_is_followed_by_the_link_of_its_submission_to_its_end(
    served: Gateway, tenant: Tenant, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    task = await submit(api)
    async with connected(served, tenant) as socket:
        assert await socket.subscribe("a", task["links"]["events"]) == {"type": "subscribed", "id": "a"}
        snapshot = await socket.next()
        finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
        rest = [await socket.next() for _ in range(3)]
    assert (snapshot["type"], snapshot["id"], snapshot["cursor"]) == ("event", "a", "1")
    assert snapshot["event"]["type"] == "snapshot"
    assert [message.get("event", {}).get("type") for message in rest] == ["task.started", "task.succeeded", None]
    assert rest[2] == {"type": "end", "id": "a", "cursor": "3"}


async def test_several_subscriptions_share_a_connection_and_resume_each_by_its_cursor(
    served: Gateway, tenant: Tenant, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    tasks = [await submit(api) for _ in range(3)]
    async with connected(served, tenant) as socket:
        for number, task in enumerate(tasks):
            await socket.send(type="subscribe", id=str(number), to=task["links"]["events"], after="0")
        for task in tasks:
            finish(database, tenant, task["task_id"], "STARTED")
        told: dict[str, list[int]] = {"0": [], "1": [], "2": []}
        while any(seqs != [1, 2] for seqs in told.values()):
            message = await socket.next()
            if message["type"] == "event":
                told[message["id"]].append(message["event"]["seq"])
    finish(database, tenant, tasks[1]["task_id"], "SUCCESS")
    async with connected(served, tenant) as socket:
        await socket.subscribe("again", tasks[1]["links"]["events"], after="2")
        assert (await socket.next())["event"]["seq"] == 3
        assert (await socket.next())["type"] == "end"
        assert await socket.subscribe("again", tasks[1]["links"]["events"], after="3") == {
            "type": "subscribed",
            "id": "again",
        }
        assert await socket.next() == {"type": "end", "id": "again", "cursor": "3"}


async def test_organization_is_followed_with_the_filters_of_its_path(
    served: Gateway, tenant: Tenant, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    async with connected(served, tenant) as socket:
        await socket.subscribe("all", "/v1/events?types=task.succeeded&types=task.failed")
        snapshot = await socket.next()
        task = await submit(api)
        finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
        event = await socket.next()
    assert snapshot["event"]["type"] == "snapshot"
    assert (event["event"]["type"], event["event"]["subject"]) == ("task.succeeded", task["task_id"])
    page = (await api.get("/v1/events", params={"after": event["cursor"]})).json()
    assert page["items"] == []


async def test_unsubscribing_ends_one_subscription_and_frees_its_id(
    served: Gateway, tenant: Tenant, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    task = await submit(api)
    path = task["links"]["events"]
    async with connected(served, tenant) as socket:
        await socket.subscribe("a", path)
        await socket.next()
        await socket.send(type="unsubscribe", id="a")
        assert await socket.next() == {"type": "unsubscribed", "id": "a"}
        assert len(served.app.state.hub) == 0
        finish(database, tenant, task["task_id"], "STARTED")
        assert (await socket.subscribe("a", path, after="1"))["type"] == "subscribed"
        assert (await socket.next())["event"]["type"] == "task.started"


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ("no json", "malformed_message", "Invalid JSON"),
        ('{"type": "dance"}', "malformed_message", "type"),
        ('{"type": "subscribe", "id": "a"}', "malformed_message", "to"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/events", "extra": 1}', "malformed_message", "extra"),
        ('{"type": "unsubscribe", "id": "a"}', "subscription_unknown", "no subscription"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/tasks/nothing/events"}', "not_found", "no task"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/test-runs/7/events"}', "not_found", "no test run"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/api-keys"}', "not_found", "no stream at"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/events?types=x"}', "validation_failed", "no event type"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/events", "after": "x"}', "validation_failed", "not a cursor"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/tasks/t/events", "after": "x"}', "validation_failed", "after"),
        ('{"type": "subscribe", "id": "a", "to": "/v1/tasks/t/events?types=x"}', "validation_failed", "Extra|filters"),
    ],
)
async def test_wrong_message_is_answered_with_a_sentence_and_the_connection_goes_on(
    served: Gateway, tenant: Tenant, message: str, code: str, says: str
) -> None:
    async with connected(served, tenant) as socket:
        await socket.connection.send_str(message)
        error = await socket.next()
        assert (error["type"], error["error"]["code"]) == ("error", code)
        assert any(part in error["error"]["detail"] for part in says.split("|"))
        await socket.send(type="ping")
        assert await socket.next() == {"type": "pong"}


async def test_subscriptions_have_ids_of_their_own_and_a_limit(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, stream={"max_subscriptions": 2}) as served, connected(served, tenant) as socket:
        for name in ("a", "b"):
            await socket.subscribe(name, "/v1/events")
            await socket.next()
        assert (await socket.subscribe("a", "/v1/events"))["error"]["code"] == "subscription_exists"
        assert (await socket.subscribe("c", "/v1/events"))["error"]["code"] == "too_many_subscriptions"


async def test_another_tenants_stream_is_no_stream(
    served: Gateway, tenant: Tenant, database: TestDatabase, api: httpx.AsyncClient
) -> None:
    task = await submit(api)
    async with connected(served, add_tenant(database)) as socket:
        foreign = await socket.subscribe("a", task["links"]["events"])
        unknown = await socket.subscribe("a", f"/v1/tasks/{uuid4()}/events")
        assert (foreign["error"]["code"], unknown["error"]["code"]) == ("not_found", "not_found")


async def test_token_is_offered_as_a_subprotocol_and_opens_its_own_subject_only(
    served: Gateway, api: httpx.AsyncClient
) -> None:
    mine, other = await submit(api), await submit(api)
    protocols = ["gateway.v1", f"token.{mine['stream_token']}"]
    async with connected(served, protocols=protocols) as socket:
        assert socket.connection.protocol == "gateway.v1"
        assert (await socket.subscribe("a", mine["links"]["events"]))["type"] == "subscribed"
        await socket.next()
        assert (await socket.subscribe("b", other["links"]["events"]))["error"]["code"] == "not_found"
        assert (await socket.subscribe("c", "/v1/events"))["error"]["code"] == "stream_token_refused"


async def test_who_has_no_key_is_refused_before_the_connection_is_one(served: Gateway) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(served):
            pass
    assert refused.value.status == 401


async def test_request_that_is_no_handshake_is_told_what_is_missing(served: Gateway) -> None:
    async with served.client() as anyone:
        answer = await anyone.get(WS)
    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_needed")
    assert (answer.headers["upgrade"], answer.headers["connection"]) == ("websocket", "Upgrade")


async def test_stopping_gateway_says_that_it_drains_and_closes(database: TestDatabase, tenant: Tenant) -> None:
    async with aiohttp.ClientSession() as session:
        async with gateway(database.url) as served:
            headers = {"Authorization": f"Bearer {tenant.secret}"}
            socket = Socket(await session.ws_connect(served.url + WS, headers=headers))
            await socket.subscribe("a", "/v1/events")
            await socket.next()
        draining = await socket.next()
        assert (draining["type"], draining["id"]) == ("draining", "a")
        assert await socket.until_closed() == 1012


async def test_connection_that_is_old_enough_is_closed_and_may_resume(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, stream={"max_age": 0.5}) as served, connected(served, tenant) as socket:
        await socket.subscribe("a", "/v1/events")
        assert await socket.until_closed() == 1001


async def test_quiet_subscription_says_where_it_is(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, stream={"keep_alive": 0.1}) as served, connected(served, tenant) as socket:
        await socket.subscribe("a", "/v1/events")
        snapshot = await socket.next()
        ping = await socket.next()
        assert (snapshot["type"], ping["type"], ping["id"]) == ("event", "ping", "a")
        assert ping["cursor"]


async def test_who_leaves_in_the_middle_of_subscribing_leaves_nothing_behind(
    served: Gateway, tenant: Tenant, api: httpx.AsyncClient
) -> None:
    paths = ["/v1/events", *[(await submit(api))["links"]["events"] for _ in range(5)]]
    for told in range(len(paths)):
        async with connected(served, tenant) as socket:
            for number, path in enumerate(paths):
                await socket.send(type="subscribe", id=str(number), to=path)
            for _ in range(told):
                await socket.next()
            socket.connection._response.close()  # the connection is cut, without a word
    await eventually(lambda: len(served.app.state.hub) == 0)


async def test_binary_message_ends_the_connection_with_its_code(served: Gateway, tenant: Tenant) -> None:
    async with connected(served, tenant) as socket:
        await socket.connection.send_bytes(b"{}")
        assert await socket.until_closed() == 1003


async def test_message_that_is_too_large_ends_the_connection_with_its_code(served: Gateway, tenant: Tenant) -> None:
    async with connected(served, tenant) as socket:
        await socket.send(type="ping", pad="x" * served.settings.stream.max_message_bytes)
        assert await socket.until_closed() == 1009


async def test_client_that_does_not_read_is_cut_off_and_not_left_with_streams_that_are_over(
    database: TestDatabase, tenant: Tenant
) -> None:
    patient = {"send_timeout": 2.0, "queue_events": 10_000, "queue_bytes": 100_000_000}
    async with (
        gateway(database.url, stream=patient) as served,
        served.client(tenant) as api,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=_small_socket)) as session,
        session.ws_connect(served.url + WS, headers={"Authorization": f"Bearer {tenant.secret}"}) as connection,
    ):
        client, task, hub = Socket(connection), await submit(api), served.app.state.hub
        for number in range(15):
            await client.subscribe(str(number), task["links"]["events"])
            await client.next()
        report_much(database, task["task_id"])
        await eventually(lambda: len(hub) == 0)
        assert await client.until_closed() == 1013


def _small_socket(address: Any) -> socket.socket:
    made = socket.socket(address[0], address[1])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return made


def report_much(database: TestDatabase, task_id: str) -> None:
    """Make 500 events of more than a kilobyte."""
    with connect(database.admin_url) as admin:
        admin.execute(
            "DO $$ BEGIN FOR number IN 1..500 LOOP UPDATE task SET progress ="
            f" jsonb_build_array(number, repeat('x', 1000)) WHERE id = '{task_id}'; END LOOP; END $$"
        )
