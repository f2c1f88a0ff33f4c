"""The tail publishes every event once, and outlives whatever happens to its connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from gateway.stream.burst import Burst
from gateway.stream.hub import End, Hub
from gateway.stream.settings import StreamSettings
from gateway.stream.tail import Tail
from tests.integration.streams import Writer, collect, end_tail_connections, eventually, writer
from tests.postgres import TestDatabase
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.address import DatabaseAddress

SETTINGS = StreamSettings(queue_events=10_000, reconnect_first=0.01, reconnect_longest=0.05)
ASLEEP = replace(SETTINGS, poll_busy=30, poll_idle=30)


@asynccontextmanager
async def running(url: str, hub: Hub, settings: StreamSettings = SETTINGS) -> AsyncGenerator[Tail]:
    tail = Tail(DatabaseAddress.parse(url), hub, settings)
    await tail.start()
    try:
        yield tail
    finally:
        await tail.stop()


async def test_subscriber_hears_of_every_change_in_order(database: TestDatabase, ours: Writer) -> None:
    hub = Hub(SETTINGS)
    async with running(database.url, hub) as tail:
        subscription = hub.subscribe(organization_id=ours.organization_id)
        task = await ours.submit()
        await ours.enter(task, "STARTED")
        await ours.progress(task, {"done": 1})
        await ours.enter(task, "SUCCESS")
        events = await collect(subscription, until=4)
        assert tail.is_live
    assert [(event.event.type, event.seq) for event in events] == [
        ("task.pending", 1),
        ("task.started", 2),
        ("task.progress", 3),
        ("task.succeeded", 4),
    ]


async def test_hint_wakes_a_tail_that_is_asleep(database: TestDatabase, ours: Writer) -> None:
    hub = Hub(ASLEEP)
    async with running(database.url, hub, ASLEEP):
        subscription = hub.subscribe(organization_id=ours.organization_id)
        await ours.submit()
        await ours.connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        assert len(await collect(subscription, until=1)) == 1


async def test_event_without_a_hint_arrives_too(database: TestDatabase, ours: Writer) -> None:
    hub = Hub(SETTINGS)
    async with running(database.url, hub):
        subscription = hub.subscribe(organization_id=ours.organization_id)
        await ours.submit()
        assert len(await collect(subscription, until=1)) == 1


@pytest.mark.parametrize("settings", [SETTINGS, ASLEEP], ids=["busy", "asleep"])
async def test_lost_connection_loses_and_repeats_nothing(
    database: TestDatabase, ours: Writer, settings: StreamSettings
) -> None:
    hub = Hub(settings)
    async with running(database.url, hub, settings):
        subscription = hub.subscribe(organization_id=ours.organization_id)
        task = await ours.submit()
        for number in range(200):
            await ours.progress(task, number)
            if number in (50, 100):
                await eventually(lambda: _is_listening(database))
                await end_tail_connections(ours)
        # A sleeping tail reads at once when it connects, and then waits for a hint.
        await eventually(lambda: _is_listening(database))
        await ours.connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        events = await collect(subscription, until=201)
    assert [event.seq for event in events] == list(range(1, 202))


async def test_stream_that_fails_at_an_event_keeps_nobody_else_from_it(database: TestDatabase, ours: Writer) -> None:
    """Whoever was not told yet is sent to the table, and the tail goes on."""

    def fail(_: Burst) -> bool:
        raise RecursionError

    hub = Hub(SETTINGS)
    async with running(database.url, hub), writer(database) as theirs:
        broken = hub.subscribe(organization_id=ours.organization_id)
        whole = hub.subscribe(organization_id=theirs.organization_id)
        broken.attach(lambda: None, fail)
        async with ours.connection.transaction():
            await ours.submit()
            await Writer(ours.connection, theirs.organization_id).submit()
        await eventually(lambda: whole.end is not None)
        assert (broken.end, whole.end) == (End.LAGGED, End.LAGGED)
        resumed = hub.subscribe(organization_id=theirs.organization_id)
        task = await theirs.submit()
        assert [event.event.subject for event in await collect(resumed, until=1)] == [task]


def _is_listening(database: TestDatabase) -> bool:
    with psycopg.connect(database.admin_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gateway-tail'"
            " AND datname = current_database() AND state = 'idle' AND query LIKE %s",
            ("%task_event%",),
        ).fetchone()
    return row == (1,)


async def test_large_catch_up_is_paged_and_complete(database: TestDatabase, ours: Writer) -> None:
    hub = Hub(SETTINGS)
    settings = replace(ASLEEP, tail_page=50)
    async with running(database.url, hub, settings):
        subscription = hub.subscribe(organization_id=ours.organization_id)
        await ours.connection.execute(
            "INSERT INTO task (id, organization_id) SELECT 'task-' || n, %s FROM generate_series(1, 1234) n",
            (ours.organization_id,),
        )
        await ours.connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        events = await collect(subscription, until=1234)
    assert {event.event.subject for event in events} == {f"task-{number}" for number in range(1, 1235)}


async def test_tail_waits_for_a_database_that_is_not_there_yet(
    database: TestDatabase, ours: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(SETTINGS)
    async with _proxy(database) as proxy:
        proxy.refuse()
        async with running(proxy.url, hub) as tail:
            assert not tail.is_live
            assert "tail_disconnected" in caplog.messages
            early = hub.subscribe(organization_id=ours.organization_id)
            await ours.submit("unseen")
            proxy.accept()
            await eventually(lambda: tail.is_live)
            assert early.end is End.LAGGED  # it may have missed something, so it has to resume
            subscription = hub.subscribe(organization_id=ours.organization_id)
            await ours.submit("seen")
            assert [event.event.subject for event in await collect(subscription, until=1)] == ["seen"]


async def test_connection_that_died_without_a_word_is_noticed(database: TestDatabase, ours: Writer) -> None:
    settings = replace(SETTINGS, poll_timeout=0.3, live_within=0.3)
    hub = Hub(settings)
    async with _proxy(database) as proxy, running(proxy.url, hub, settings) as tail:
        subscription = hub.subscribe(organization_id=ours.organization_id)
        await ours.submit("before")
        assert len(await collect(subscription, until=1)) == 1
        proxy.freeze()
        await ours.submit("meanwhile")
        await eventually(lambda: not tail.is_live)
        events = await collect(subscription, until=1)
        assert [event.event.subject for event in events] == ["meanwhile"]
        assert subscription.end is None
        await eventually(lambda: tail.is_live)


async def test_starting_and_stopping_twice_is_harmless(database: TestDatabase) -> None:
    tail = Tail(DatabaseAddress.parse(database.url), Hub(), SETTINGS)
    await tail.stop()
    await tail.start()
    await tail.start()
    assert tail.is_live
    await tail.stop()
    await tail.stop()
    assert not tail.is_live
    assert not _is_listening(database)


class _Proxy:
    """Stands before Postgres and can go dead like a network."""

    def __init__(self, database: TestDatabase) -> None:
        self._target = conninfo_to_dict(DatabaseAddress.parse(database.url).conninfo())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._refuses = False
        self._open: set[asyncio.Event] = set()
        port = self._listener.getsockname()[1]
        url = make_url(database.url).set(host="127.0.0.1", port=port, query={})
        self.url = url.render_as_string(hide_password=False)

    def refuse(self) -> None:
        self._refuses = True

    def accept(self) -> None:
        self._refuses = False

    def freeze(self) -> None:
        """Carry nothing any more on the connections there are; new ones work."""
        for flowing in self._open:
            flowing.clear()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[_Proxy]:
        server = await asyncio.start_server(self._serve, sock=self._listener)
        try:
            yield self
        finally:
            for flowing in self._open:
                flowing.set()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.close()
            return
        flowing = asyncio.Event()
        flowing.set()
        self._open.add(flowing)
        upstream_reader, upstream_writer = await self._connect()
        await asyncio.gather(
            _carry(reader, upstream_writer, flowing), _carry(upstream_reader, writer, flowing), return_exceptions=True
        )

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._target.get("host", "localhost")), str(self._target.get("port", "5432"))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            await flowing.wait()
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def _proxy(database: TestDatabase) -> AsyncGenerator[_Proxy]:
    async with _Proxy(database).running() as proxy:
        yield proxy
