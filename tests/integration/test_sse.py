"""Streams as bytes on the wire, from a real server."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.stream.cursor import parse_cursor
from gateway.stream.event_log import EventLog
from gateway.stream.follow import Representation, SubjectFeed
from gateway.stream.hub import Hub
from gateway.stream.metrics import Ending, StreamMetrics
from gateway.stream.server import PortUnavailable, Server, listen
from gateway.stream.settings import StreamSettings
from gateway.stream.sse import EventStream
from gateway.stream.tail import Tail
from tests.integration.streams import PATIENCE, Writer, eventually, gateway_engine, publish, represent, writer
from tests.postgres import TestDatabase
from workerapp.contract.caller import Caller
from workerapp.db.address import DatabaseAddress

SETTINGS = StreamSettings()


@dataclass
class Site:
    """A server on a free port, with nothing but the events of tasks."""

    ours: Writer
    engine: AsyncEngine
    hub: Hub
    settings: StreamSettings
    registry: CollectorRegistry
    metrics: StreamMetrics
    port: int = 0
    server: Server | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        task_id = request.path_params["task_id"]
        caller = Caller(organization_id=self.ours.organization_id)
        after = parse_cursor(request.headers.get("last-event-id"), request.query_params.get("after"))

        async def read() -> Representation | None:
            return await represent(self.engine, caller, task_id)

        now = await read()
        if now is None or now.ends_at(after):
            await Response(status_code=404 if now is None else 204)(scope, receive, send)
            return
        feed = SubjectFeed(
            hub=self.hub,
            log=EventLog(self.engine),
            caller=caller,
            subject_id=task_id,
            read=read,
            after=after,
            settings=self.settings,
        )
        await EventStream(feed, self.settings, self.metrics)(scope, receive, send)

    def ended(self) -> dict[str, float]:
        """How many streams ended, by reason; those that nobody ended for are left out."""
        values = {
            reason: self.registry.get_sample_value("gateway_streams_ended_total", {"protocol": "sse", "reason": reason})
            for reason in Ending
        }
        return {reason.value: value for reason, value in values.items() if value}

    def url(self, task_id: str) -> str:
        return f"http://127.0.0.1:{self.port}/{task_id}/events"


@asynccontextmanager
async def serving(database: TestDatabase, settings: StreamSettings = SETTINGS) -> AsyncGenerator[Site]:
    hub = Hub(settings)
    tail = Tail(DatabaseAddress.parse(database.url), hub, settings)
    await tail.start()
    async with writer(database) as ours, gateway_engine(database) as engine:
        registry = CollectorRegistry()
        site = Site(ours, engine, hub, settings, registry, StreamMetrics(registry))
        app = Starlette(routes=[Route("/{task_id}/events", site, methods=["GET"])])
        listener = listen("127.0.0.1", 0, settings)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that a client that stalls is felt soon
        site.port = listener.getsockname()[1]
        site.server = Server(uvicorn.Config(app, log_level="critical", lifespan="off"), hub, settings)
        running = asyncio.create_task(site.server.serve(sockets=[listener]))
        try:
            yield site
        finally:
            site.server.should_exit = True
            await running
            await tail.stop()


@pytest.fixture
async def site(database: TestDatabase) -> AsyncGenerator[Site]:
    async with serving(database) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
        yield session


async def frames(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """The blocks of a stream as they arrive."""
    rest = b""
    async for chunk in response.content.iter_any():
        *complete, rest = (rest + chunk).split(b"\n\n")
        for frame in complete:
            yield frame.decode()
    assert rest == b""


def ids(blocks: list[str]) -> list[int]:
    return [int(block.splitlines()[0].removeprefix("id: ")) for block in blocks if "data: " in block]


async def test_stream_on_the_wire(site: Site, client: aiohttp.ClientSession) -> None:
    task = await site.ours.submit()
    async with client.get(site.url(task)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        blocks = frames(response)
        assert (await anext(blocks)).startswith("retry: ")
        snapshot = await anext(blocks)
        await site.ours.enter(task, "STARTED")
        started = await anext(blocks)
        await site.ours.enter(task, "SUCCESS")
        assert len([block async for block in blocks]) == 1
    assert snapshot.startswith('id: 1\ndata: {"id":0,"type":"snapshot","subject":"' + task)
    line_of_id, line_of_data = started.split("\n")
    assert line_of_id == "id: 2"
    assert line_of_data.startswith('data: {"id":')
    assert f'"type":"task.started","subject":"{task}","seq":2,"at":"20' in line_of_data
    assert f'"organization_id":"{site.ours.organization_id}","data":{{' in line_of_data


async def test_reconnecting_with_the_last_id_gives_exactly_what_was_missed(
    site: Site, client: aiohttp.ClientSession
) -> None:
    task = await site.ours.submit()
    async with client.get(site.url(task), params={"after": "0"}) as response:
        blocks = frames(response)
        assert ids([await anext(blocks), await anext(blocks)]) == [1]
    for number in range(300):
        await site.ours.progress(task, number)
    async with client.get(site.url(task), params={"after": "0"}, headers={"Last-Event-ID": "1"}) as response:
        seen = []
        async for block in frames(response):
            seen.append(block)
            if ids([block]) == [301]:
                await site.ours.enter(task, "SUCCESS")
    assert ids(seen) == list(range(2, 303))
    async with client.get(site.url(task), headers={"Last-Event-ID": "302"}) as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_useless_cursor_is_reset_by_a_named_event(site: Site, client: aiohttp.ClientSession) -> None:
    task = await site.ours.submit()
    async with client.get(site.url(task), params={"after": "7"}) as response:
        blocks = frames(response)
        _retry, reset, snapshot = [await anext(blocks) for _ in range(3)]
    assert reset == 'event: reset\ndata: {"cursor":"7"}'
    assert snapshot.startswith("id: 1\ndata: ")


async def test_head_answers_with_the_headers_alone(site: Site, client: aiohttp.ClientSession) -> None:
    task = await site.ours.submit()
    async with client.head(site.url(task)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await response.read() == b""
    assert len(site.hub) == 0


async def test_silent_stream_repeats_the_cursor_and_dispatches_nothing(
    database: TestDatabase, client: aiohttp.ClientSession
) -> None:
    async with serving(database, replace(SETTINGS, keep_alive=0.02)) as site:
        task = await site.ours.submit()
        async with client.get(site.url(task)) as response:
            blocks = frames(response)
            opening = [await anext(blocks) for _ in range(4)]
    assert opening[2:] == ["id: 1", "id: 1"]


async def test_stream_that_is_old_enough_ends_and_can_be_resumed(
    database: TestDatabase, client: aiohttp.ClientSession
) -> None:
    async with serving(database, replace(SETTINGS, max_age=0.2, keep_alive=0.05)) as site:
        task = await site.ours.submit()
        async with client.get(site.url(task)) as response:
            seen = [block async for block in frames(response)]
        assert ids(seen) == [1]
        assert len(site.hub) == 0
        assert site.ended() == {"max_age": 1}


async def test_client_that_leaves_is_forgotten(site: Site, client: aiohttp.ClientSession) -> None:
    task = await site.ours.submit()
    async with client.get(site.url(task)) as response:
        await anext(frames(response))
        await eventually(lambda: len(site.hub) == 1)
    await eventually(lambda: len(site.hub) == 0)
    await eventually(lambda: site.ended() == {"disconnected": 1})


LARGE = replace(SETTINGS, queue_bytes=10_000_000, queue_events=100_000)


async def _stall(site: Site, client: aiohttp.ClientSession) -> None:
    """Write more than fits into what lies between the stalled client and its stream, while another client reads it."""
    task = await site.ours.submit()
    with _stalled_client(site, task):
        await eventually(lambda: len(site.hub) == 1)
        reading = asyncio.create_task(_read_ids(client, site.url(task)))
        await eventually(lambda: len(site.hub) == 2)
        for number in range(400):
            await site.ours.progress(task, [number, "x" * 900])
        await eventually(lambda: len(site.hub) == 1)
        await site.ours.enter(task, "SUCCESS")
        assert await reading == list(range(1, 403))


async def test_client_that_does_not_read_loses_its_stream_and_others_go_on(
    database: TestDatabase, client: aiohttp.ClientSession
) -> None:
    async with serving(database, replace(LARGE, send_timeout=0.2)) as site:
        await _stall(site, client)
        assert site.ended() == {"stalled": 1, "terminal": 1}


async def test_connection_of_a_client_that_does_not_read_is_cut_off_too(
    database: TestDatabase, client: aiohttp.ClientSession
) -> None:
    async with serving(database, replace(LARGE, tcp_user_timeout=0.5)) as site:
        await _stall(site, client)
        await eventually(lambda: site.server and not site.server.server_state.tasks)


async def test_shutdown_does_not_wait_for_a_client_that_does_not_read(database: TestDatabase) -> None:
    async with serving(database, replace(LARGE, drain_timeout=1, shutdown_timeout=1)) as site:
        task = await site.ours.submit()
        stalled = _stalled_client(site, task)
        await eventually(lambda: len(site.hub) == 1)
        for number in range(400):
            await site.ours.progress(task, [number, "x" * 900])
        began = time.monotonic()
    assert time.monotonic() - began < 4
    stalled.close()


async def _read_ids(client: aiohttp.ClientSession, url: str) -> list[int]:
    async with client.get(url, params={"after": "0"}) as response:
        return ids([block async for block in frames(response)])


def _stalled_client(site: Site, task_id: str) -> socket.socket:
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", site.port))
    stalled.sendall(f"GET /{task_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return stalled


async def test_client_that_lags_is_told_so_when_it_reads_again(
    database: TestDatabase, client: aiohttp.ClientSession
) -> None:
    async with serving(database, replace(SETTINGS, queue_events=5)) as site:
        task = await site.ours.submit()
        async with client.get(site.url(task)) as response:
            blocks = frames(response)
            assert ids([await anext(blocks), await anext(blocks)]) == [1]
            events = [event for _ in range(6) for event in await _one_more(site, task)]
            for event in events:  # at once, so the stream has no chance to send them
                await publish(site.hub, [event])
            rest = [block async for block in blocks]
        assert site.ended() == {"lagged": 1}
    assert rest[-1].startswith('event: lagged\ndata: {"cursor":"')


async def _one_more(site: Site, task_id: str) -> list[Any]:
    page = await EventLog(site.engine).page(Caller(organization_id=site.ours.organization_id), task_id, after=0, most=1)
    return [replace(event, event=replace(event.event, seq=1000)) for event in page]


async def test_shutdown_tells_open_streams_to_come_back_and_ends_them(
    database: TestDatabase, client: aiohttp.ClientSession
) -> None:
    async with serving(database) as site:
        tasks = [await site.ours.submit() for _ in range(20)]
        responses = [await client.get(site.url(task)) for task in tasks]
        streams = [frames(response) for response in responses]
        for stream in streams:
            assert ids([await anext(stream), await anext(stream)]) == [1]
    for stream in streams:
        (draining,) = [block async for block in stream]
        assert re.fullmatch(r'event: draining\ndata: {"cursor":"1"}\nretry: \d+', draining)
    assert site.ended() == {"draining": 20}


async def test_database_that_goes_away_ends_the_stream_without_a_stack_trace(
    database: TestDatabase, client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(database, replace(SETTINGS, replay_page=1)) as site:
        task = await site.ours.submit()
        await site.ours.progress(task, 1)
        await site.ours.connection.execute("REVOKE SELECT ON task_event FROM gateway_rw")
        async with client.get(site.url(task), params={"after": "0"}) as response:
            seen = [block async for block in frames(response)]
    assert ids(seen) == []
    assert site.ended() == {"interrupted": 1}
    assert [record.exc_info for record in caplog.records if record.message == "stream_interrupted"] == [None]


def test_port_in_use_is_refused_with_a_sentence() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(PortUnavailable, match=r"Choose another port"):
        listen("127.0.0.1", first.getsockname()[1])


def test_connections_inherit_the_options_that_end_dead_ones() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _address = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
