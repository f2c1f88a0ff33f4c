"""An organization's stream has every event that passes its filter once, wherever it starts and however it is broken."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stream.batch import Message, Notice
from gateway.stream.envelope import EncodedEvent, encode
from gateway.stream.event_filter import EVERYTHING, EventFilter
from gateway.stream.event_log import After, EventLog, Start
from gateway.stream.feed import follow
from gateway.stream.follow_organization import OrganizationFeed, OrganizationFollower
from gateway.stream.hub import Hub
from gateway.stream.organization_cursor import Mark, Position, decode_position
from gateway.stream.settings import StreamSettings
from gateway.stream.snapshot import Snapshot
from gateway.stream.span import Span
from tests.integration.streams import PATIENCE, SETTINGS, Writer, eventually, writer
from tests.postgres import TestDatabase
from workerapp.contract.caller import Caller
from workerapp.contract.events import Event


@dataclass
class Client:
    """Reads streams of one organization, and remembers its cursor from one to the next."""

    hub: Hub
    engine: AsyncEngine
    ours: Writer
    after: After = Start.NOW
    only: EventFilter = EVERYTHING
    settings: StreamSettings = SETTINGS
    told: list[tuple[str, int]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, most: int | None = None) -> None:
        """To the end of the stream, or until so many events were told; what comes with the last one is dropped."""
        feed = self.feed()
        until = None if most is None else len(self.told) + most
        with feed.subscribe() as subscription:
            async for batch in follow(feed.follow(subscription), subscription, SETTINGS.keep_alive):
                for item in batch.items:
                    self.take(item)
                    if len(self.told) == until:
                        return

    def feed(self) -> OrganizationFeed:
        return OrganizationFeed(
            hub=self.hub,
            log=EventLog(self.engine),
            caller=Caller(organization_id=self.ours.organization_id),
            after=self.after,
            only=self.only,
            settings=self.settings,
        )

    async def advance(self, follower: OrganizationFollower) -> None:
        """Everything there is to tell now."""
        while batch := await follower.advance():
            for item in batch.items:
                self.take(item)

    def take(self, item: Message | Notice) -> None:
        if isinstance(item, Notice):
            self.notices.append(item.kind.value)
            return
        self.after = decode_position(item.cursor)
        self.is_open.set()
        event = json.loads(item.body)
        if event["type"] == "snapshot":
            self.snapshots.append(event)
        else:
            self.told.append((event["subject"], event["seq"]))


async def test_stream_without_a_cursor_begins_with_a_snapshot_and_goes_on_live(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    await ours.submit("before")
    client = Client(hub, engine, ours)
    reading = asyncio.create_task(client.read(most=2))
    await client.is_open.wait()
    await ours.submit("after")
    await ours.enter("after", "STARTED")
    await asyncio.wait_for(reading, PATIENCE)
    assert client.told == [("after", 1), ("after", 2)]
    (snapshot,) = client.snapshots
    assert (snapshot["subject"], snapshot["seq"]) == (str(ours.organization_id), 0)
    assert snapshot["data"] == {"open_test_runs": {}}


async def test_every_event_has_a_cursor_of_its_own_in_the_log_and_live(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    """A connection may break behind any event, also in the middle of what was written at once."""
    async with ours.connection.transaction():
        for number in range(10):
            await ours.submit(f"task-{number}")
    client = Client(hub, engine, ours, after=Start.EARLIEST)
    for _ in range(10):
        await asyncio.wait_for(client.read(most=1), PATIENCE)
    assert [subject for subject, _ in client.told] == [f"task-{number}" for number in range(10)]
    live = asyncio.create_task(client.read(most=1))
    await eventually(lambda: len(hub) == 1)
    async with ours.connection.transaction():
        for number in range(10, 15):
            await ours.submit(f"task-{number}")
    await asyncio.wait_for(live, PATIENCE)
    for _ in range(4):
        await asyncio.wait_for(client.read(most=1), PATIENCE)
    assert [subject for subject, _ in client.told] == [f"task-{number}" for number in range(15)]


async def test_filtered_stream_moves_its_cursor_past_what_it_leaves_out(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    only = EventFilter(types=frozenset({"task.succeeded"}))
    small = replace(SETTINGS, replay_page=5, replay_scan=5)
    for number in range(30):
        await ours.submit(f"task-{number}")
    await ours.enter("task-7", "SUCCESS")
    client = Client(hub, engine, ours, after=Start.EARLIEST, only=only, settings=small)
    await asyncio.wait_for(client.read(most=1), PATIENCE)
    reading = asyncio.create_task(client.read(most=1))
    await eventually(lambda: len(hub) == 1)
    await ours.enter("task-8", "STARTED")
    await ours.enter("task-8", "SUCCESS")
    await asyncio.wait_for(reading, PATIENCE)
    assert client.told == [("task-7", 2), ("task-8", 3)]


async def test_cursor_of_what_was_pruned_is_answered_with_reset_and_a_snapshot(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    client = Client(hub, engine, ours, after=Start.EARLIEST)
    await ours.submit("first")
    await asyncio.wait_for(client.read(most=1), PATIENCE)
    await ours.submit("second")
    await ours.connection.execute("UPDATE event_log SET epoch = gen_random_uuid()")
    client.is_open.clear()
    reading = asyncio.create_task(client.read(most=1))
    await client.is_open.wait()
    await ours.submit("third")
    await asyncio.wait_for(reading, PATIENCE)
    assert (client.notices, len(client.snapshots)) == (["reset"], 1)
    assert client.told == [("first", 1), ("third", 1)]


async def test_reader_that_does_not_keep_up_resumes_where_it_was(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    hub._settings = replace(SETTINGS, queue_events=3)
    client = Client(hub, engine, ours)
    feed_open = asyncio.create_task(client.read(most=20))
    await client.is_open.wait()
    async with ours.connection.transaction():
        for number in range(10):
            await ours.submit(f"task-{number}")
    async with ours.connection.transaction():
        for number in range(10, 20):
            await ours.submit(f"task-{number}")
    while not feed_open.done() or len(client.told) < 20:
        await asyncio.wait_for(feed_open, PATIENCE)
        if len(client.told) < 20:
            feed_open = asyncio.create_task(client.read(most=20 - len(client.told)))
    assert [subject for subject, _ in client.told] == [f"task-{number}" for number in range(20)]


async def test_stream_that_is_drained_while_it_reads_the_log_is_resumed_without_a_hole(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    for number in range(10):
        await ours.submit(f"task-{number}")
    client = Client(hub, engine, ours, after=Start.EARLIEST, settings=replace(SETTINGS, replay_page=4))
    feed = client.feed()
    with feed.subscribe() as subscription:
        follower = feed.follow(subscription)
        first = await follower.advance()
        assert first is not None
        for item in first.items:
            client.take(item)
        await ours.submit("task-10")
        await eventually(lambda: subscription.has_news)
        hub.drain()
        await client.advance(follower)
    assert client.notices == ["draining"]
    client.hub = Hub(SETTINGS)
    await asyncio.wait_for(client.read(most=11 - len(client.told)), PATIENCE)
    assert [subject for subject, _ in client.told] == [f"task-{number}" for number in range(11)]


async def test_transaction_id_that_a_crash_hands_out_again_hides_no_event_from_an_open_stream(
    database: TestDatabase, hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    xid = await ended_xid(database, ours)
    await eventually(lambda: hub.position is not None and hub.position.seen.newest_id == 3)
    client = Client(hub, engine, ours)
    reading = asyncio.create_task(client.read(most=1))
    await client.is_open.wait()
    await write_event(ours, "again", xid)
    await asyncio.wait_for(reading, PATIENCE)
    assert client.told == [("again", 1)]


async def test_stream_that_is_ahead_of_a_crashed_server_reads_the_log_again(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    """Its position was taken at a later transaction than any that the server knows now."""
    xid = await ended_xid(database, ours)
    hub = Hub(SETTINGS)
    client = Client(hub, engine, ours)
    feed = client.feed()
    with feed.subscribe() as subscription:
        follower = feed.follow(subscription)
        await client.advance(follower)
        assert isinstance(client.after, Position)
        await write_event(ours, "again", xid)
        page = await feed.log.organization_page(feed.caller, client.after, most=9)
        before = client.after.advanced_to(Mark(Snapshot(xid, xid), newest_id=0, next_xid=xid))
        after = before.advanced_to(Mark(Snapshot(xid + 1, xid + 1), page.events[-1].event.id, xid + 1))
        await hub.publish(page.events, Span(before, after))
        await client.advance(follower)
    assert client.told == [("again", 1)]


async def test_cursor_of_a_late_event_repeats_nothing_of_the_difference_before(
    engine: AsyncEngine, ours: Writer
) -> None:
    """The hub's pages are small: the first difference ends with one that has nothing of this organization."""
    hub = Hub(SETTINGS)
    client = Client(hub, engine, ours)
    feed = client.feed()
    with feed.subscribe() as subscription:
        follower = feed.follow(subscription)
        await client.advance(follower)
        assert isinstance(client.after, Position)
        start, xid = client.after, client.after.seen.snapshot.xmax
        first = Mark(Snapshot(xid + 1, xid + 3, (xid + 1,)), newest_id=9, next_xid=xid + 3)
        second = Mark(Snapshot(xid + 5, xid + 5), newest_id=9, next_xid=xid + 5)
        middle = start.advanced_within(first, 3)
        await hub.publish([event(ours, 1, xid), event(ours, 3, xid + 2)], Span(start, middle))
        await client.advance(follower)
        await hub.publish([], Span(middle, start.advanced_to(first)))
        late = [event(ours, 2, xid + 1), event(ours, 4, xid + 3)]
        await hub.publish(late, Span(start.advanced_to(first), start.advanced_to(second)))
        batch = await follower.advance()
    assert batch is not None
    cursors = [decode_position(item.cursor) for item in batch.items if isinstance(item, Message)]
    told = [
        [number for number, by in ((1, 0), (2, 1), (3, 2), (4, 3)) if it.has_told(xid + by, number)] for it in cursors
    ]
    assert told == [[1, 2, 3], [1, 2, 3, 4]]


def event(ours: Writer, number: int, xid: int) -> EncodedEvent:
    return encode(
        Event(
            id=number,
            type="task.pending",
            subject=f"task-{number}",
            seq=1,
            at=datetime.now(UTC),
            organization_id=ours.organization_id,
            data_json="{}",
            xid=xid,
        )
    )


async def ended_xid(database: TestDatabase, ours: Writer) -> int:
    """A transaction that was rolled back, and after which others have ended."""
    async with writer(database, ours.organization_id, autocommit=False) as one:
        cursor = await one.connection.execute("SELECT pg_current_xact_id()::text::bigint")
        row = await cursor.fetchone()
        await one.connection.rollback()
    for number in range(3):
        await ours.submit(f"before-{number}")
    assert row is not None
    return int(row[0])


async def write_event(ours: Writer, subject: str, xid: int) -> None:
    await ours.connection.execute(
        "INSERT INTO task_event (xid, organization_id, subject_id, seq, type, data)"
        " VALUES (%s::text::xid8, %s, %s, 1, 'task.pending', '{}')",
        (str(xid), ours.organization_id, subject),
    )


async def test_writers_resumes_and_open_transactions_lose_nothing_and_repeat_nothing(
    database: TestDatabase, engine: AsyncEngine, hub: Hub, ours: Writer
) -> None:
    """Clients come and go while 12 writers commit in their own time, some of them late."""
    chance = random.Random(7)
    tasks = [await ours.submit() for _ in range(12)]
    clients = [
        Client(hub, engine, ours, after=Start.EARLIEST, settings=replace(SETTINGS, replay_page=page))
        for page in (1, 7, 200)
    ]
    total = 12 * 31

    async def write(task: str) -> None:
        async with writer(database, ours.organization_id, autocommit=False) as one:
            for number in range(30):
                await one.progress(task, number)
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() / 50)
                await one.connection.commit()

    async def read(client: Client) -> None:
        while len(client.told) < total:
            await client.read(most=min(chance.randint(1, 40), total - len(client.told)))

    async with asyncio.timeout(3 * PATIENCE):
        await asyncio.gather(*map(write, tasks), *map(read, clients))
    for client in clients:
        by_task = defaultdict(list)
        for subject, seq in client.told:
            by_task[subject].append(seq)
        assert dict(by_task) == {task: list(range(1, 32)) for task in tasks}
