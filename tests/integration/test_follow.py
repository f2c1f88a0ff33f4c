"""A stream of one subject has every event once and in order, wherever the client starts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from gateway.stream.batch import Batch, Message, Notice, NoticeKind
from gateway.stream.burst import subject_burst
from gateway.stream.event_log import EventLog
from gateway.stream.feed import follow
from gateway.stream.follow import Read, Representation, SubjectFeed
from gateway.stream.hub import Hub
from gateway.stream.settings import StreamSettings
from tests.integration.streams import PATIENCE, SETTINGS, Writer, eventually, publish, represent, writer
from tests.postgres import TestDatabase
from workerapp.contract.caller import Caller


class Stream:
    """Reads a feed as a client would."""

    def __init__(
        self,
        hub: Hub,
        engine: AsyncEngine,
        organization_id: UUID,
        task_id: str,
        *,
        after: int | None = None,
        settings: StreamSettings = SETTINGS,
    ) -> None:
        self.engine, self.task_id = engine, task_id
        self.caller = Caller(organization_id=organization_id)
        log = EventLog(engine)
        self.feed = SubjectFeed(
            hub=hub,
            log=log,
            caller=self.caller,
            subject_id=task_id,
            read=self.represent,
            after=after,
            settings=settings,
        )
        self.told: list[str | int] = []
        self.bodies: list[dict[str, Any]] = []

    async def represent(self) -> Representation | None:
        return await represent(self.engine, self.caller, self.task_id)

    async def read(self) -> list[str | int]:
        """To the end of the stream: numbers of events, names of everything else."""
        with self.feed.subscribe() as subscription:
            async with asyncio.timeout(PATIENCE):
                async for batch in follow(self.feed.follow(subscription), subscription, SETTINGS.keep_alive):
                    for item in batch.items:
                        self._note(item)
        return self.told

    def _note(self, item: Message | Notice) -> None:
        if isinstance(item, Notice):
            self.told.append(item.kind.value)
            return
        body = json.loads(item.body)
        assert item.cursor == str(body["seq"])
        self.bodies.append(body)
        self.told.append("snapshot" if body["type"] == "snapshot" else body["seq"])


async def finished_task(ours: Writer, events: int = 10) -> str:
    task = await ours.submit()
    await ours.enter(task, "STARTED")
    for number in range(events - 3):
        await ours.progress(task, number)
    await ours.enter(task, "SUCCESS")
    return task


async def test_stream_without_a_cursor_begins_with_a_snapshot_and_ends_with_the_task(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    task = await ours.submit()
    stream = Stream(hub, engine, ours.organization_id, task)
    reading = asyncio.create_task(stream.read())
    await eventually(lambda: stream.told)
    await ours.enter(task, "STARTED")
    await ours.enter(task, "FAILURE")
    assert await reading == ["snapshot", 2, 3]
    assert stream.bodies[0]["data"] == {"status": "PENDING"}
    assert stream.bodies[0]["seq"] == 1
    assert [body["type"] for body in stream.bodies[1:]] == ["task.started", "task.failed"]
    assert len(hub) == 0


async def test_finished_task_is_a_snapshot_and_the_end(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    stream = Stream(hub, engine, ours.organization_id, await finished_task(ours))
    assert await stream.read() == ["snapshot"]
    assert stream.bodies[0]["seq"] == 10


@pytest.mark.parametrize("page", [1, 3, 10, 100])
@pytest.mark.parametrize("after", [0, 1, 7, 9])
async def test_resuming_gives_exactly_what_was_missed(
    hub: Hub, engine: AsyncEngine, ours: Writer, after: int, page: int
) -> None:
    settings = replace(SETTINGS, replay_page=page)
    task = await finished_task(ours)
    stream = Stream(hub, engine, ours.organization_id, task, after=after, settings=settings)
    assert await stream.read() == list(range(after + 1, 11))


async def test_resuming_after_the_end_gives_nothing(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    stream = Stream(hub, engine, ours.organization_id, await finished_task(ours), after=10)
    now = await stream.represent()
    assert now is not None
    assert (now.ends_at(10), now.ends_at(9), now.ends_at(None)) == (True, False, False)
    assert await stream.read() == []


async def test_cursor_beyond_what_exists_is_reset(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    stream = Stream(hub, engine, ours.organization_id, await finished_task(ours), after=11)
    assert await stream.read() == ["reset", "snapshot"]


@pytest.mark.parametrize("after", [0, 4])
@pytest.mark.parametrize("pruned", [5, 10])
async def test_cursor_older_than_what_is_kept_is_reset(
    hub: Hub, engine: AsyncEngine, ours: Writer, after: int, pruned: int
) -> None:
    task = await finished_task(ours)
    await ours.prune(task, up_to=pruned)
    assert await Stream(hub, engine, ours.organization_id, task, after=after).read() == ["reset", "snapshot"]


async def test_cursor_at_the_edge_of_what_is_kept_resumes(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    task = await finished_task(ours)
    await ours.prune(task, up_to=5)
    assert await Stream(hub, engine, ours.organization_id, task, after=5).read() == [6, 7, 8, 9, 10]


async def test_another_organizations_stream_has_nothing(
    database: TestDatabase, hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    task = await finished_task(ours)
    async with writer(database) as theirs:
        assert await Stream(hub, engine, theirs.organization_id, task, after=0).read() == []
        caller = Caller(organization_id=theirs.organization_id)
        assert await EventLog(engine).page(caller, task, after=0, most=100) == []


async def test_another_organization_hears_nothing_of_a_task_while_it_runs(
    database: TestDatabase, hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    task = await ours.submit()
    async with writer(database) as theirs:
        overheard = hub.subscribe(organization_id=theirs.organization_id, subject_id=task)
        stream = Stream(hub, engine, ours.organization_id, task)
        reading = asyncio.create_task(stream.read())
        await eventually(lambda: stream.told)
        await ours.enter(task, "SUCCESS")
        assert await reading == ["snapshot", 2]
        assert overheard.take() == []


@pytest.mark.parametrize("after", [0, None])
@pytest.mark.parametrize("page", [1, 7, 200])
async def test_streams_that_start_while_a_writer_writes_lose_and_repeat_nothing(
    hub: Hub, engine: AsyncEngine, ours: Writer, after: int | None, page: int
) -> None:
    task = await ours.submit()
    settings = replace(SETTINGS, replay_page=page)
    reading = []
    for number in range(150):
        await ours.progress(task, number)
        if number % 15 == 0:
            stream = Stream(hub, engine, ours.organization_id, task, after=after, settings=settings)
            reading.append(asyncio.create_task(stream.read()))
    await ours.enter(task, "SUCCESS")
    for told in await asyncio.gather(*reading):
        if after is None:
            assert told.pop(0) == "snapshot"
        assert told == list(range(152 - len(told) + 1, 153))
        assert after is None or len(told) == 152


async def test_silence_is_told_so_that_the_connection_can_be_kept_alive(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    task = await ours.submit()
    stream = Stream(hub, engine, ours.organization_id, task, after=1, settings=replace(SETTINGS, keep_alive=0.01))
    with stream.feed.subscribe() as subscription:
        batches = follow(stream.feed.follow(subscription), subscription, SETTINGS.keep_alive)
        async with asyncio.timeout(PATIENCE):
            assert [(await anext(batches)).items for _ in range(3)] == [[], [], []]
        await batches.aclose()


async def test_hole_in_what_the_hub_delivers_is_filled_from_the_table(engine: AsyncEngine, ours: Writer) -> None:
    task = await ours.submit()
    hub = Hub(SETTINGS)  # no tail: the test publishes, and leaves something out
    stream = Stream(hub, engine, ours.organization_id, task)
    reading = asyncio.create_task(stream.read())
    await eventually(lambda: stream.told)
    for number in range(5):
        await ours.progress(task, number)
    await ours.enter(task, "SUCCESS")
    events = await EventLog(engine).page(stream.caller, task, after=1, most=100)
    await publish(hub, events[:1])
    await eventually(lambda: stream.told[-1] == 2)
    await publish(hub, events[4:])
    assert await reading == ["snapshot", 2, 3, 4, 5, 6, 7]


async def test_reader_that_falls_behind_while_it_replays_catches_up_from_the_table(
    hub: Hub, engine: AsyncEngine, ours: Writer
) -> None:
    task = await ours.submit()
    for number in range(20):
        await ours.progress(task, number)
    small = Hub(replace(SETTINGS, queue_events=2))
    stream = Stream(small, engine, ours.organization_id, task, after=0, settings=replace(SETTINGS, replay_page=5))
    with stream.feed.subscribe() as subscription:
        batches = follow(stream.feed.follow(subscription), subscription, SETTINGS.keep_alive)
        numbers = [int(item.cursor or 0) for item in (await anext(batches)).items]
        for event in await EventLog(engine).page(stream.caller, task, after=5, most=100):
            await publish(small, [event])
        assert subscription.end == "lagged"
        async with asyncio.timeout(PATIENCE):
            while numbers[-1] < 21:
                numbers += [int(item.cursor or 0) for item in (await anext(batches)).items]
        await batches.aclose()
    assert numbers == list(range(1, 22))


async def test_reader_that_does_not_keep_up_is_told_that_it_lags(engine: AsyncEngine, ours: Writer) -> None:
    task = await ours.submit()
    hub = Hub(replace(SETTINGS, queue_events=2))
    quick, slow = (Stream(hub, engine, ours.organization_id, task) for _ in range(2))
    reading = asyncio.create_task(quick.read())
    await eventually(lambda: quick.told)
    with slow.feed.subscribe() as subscription:
        batches = follow(slow.feed.follow(subscription), subscription, SETTINGS.keep_alive)
        await anext(batches)
        await ours.progress(task, 1)
        await ours.progress(task, 2)
        await ours.enter(task, "SUCCESS")
        for event in await EventLog(engine).page(slow.caller, task, after=1, most=100):
            await publish(hub, [event])
            await eventually(lambda seq=event.seq: quick.told[-1] == seq)
        assert (await anext(batches)).items == [Notice(NoticeKind.LAGGED, "1")]
        with pytest.raises(StopAsyncIteration):
            await anext(batches)
    assert await reading == ["snapshot", 2, 3, 4]


async def test_draining_hub_ends_the_stream_with_a_notice(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    stream = Stream(hub, engine, ours.organization_id, await ours.submit())
    reading = asyncio.create_task(stream.read())
    await eventually(lambda: stream.told)
    hub.drain()
    assert await reading == ["snapshot", "draining"]


async def test_subject_that_is_gone_ends_the_stream(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    assert await Stream(hub, engine, ours.organization_id, str(uuid4())).read() == []


async def test_no_connection_is_held_while_nothing_happens(hub: Hub, engine: AsyncEngine, ours: Writer) -> None:
    stream = Stream(hub, engine, ours.organization_id, await ours.submit(), after=0)
    reading = asyncio.create_task(stream.read())
    await eventually(lambda: stream.told == [1])
    assert isinstance(engine.pool, QueuePool)
    assert (engine.pool.checkedin(), engine.pool.checkedout()) == (1, 0)
    hub.drain()
    assert await reading == [1, "draining"]


async def test_what_simply_comes_next_goes_straight_to_the_connection(engine: AsyncEngine, ours: Writer) -> None:
    """The stream sleeps on: only the end of its subject, a hole or a busy connection wakes it up."""
    task = await ours.submit()
    hub = Hub(SETTINGS)
    stream = Stream(hub, engine, ours.organization_id, task)
    await ours.progress(task, 1)
    await ours.progress(task, 2)
    await ours.progress(task, 3)
    await ours.enter(task, "SUCCESS")
    events = await EventLog(engine).page(stream.caller, task, after=0, most=100)
    feed = replace(stream.feed, read=_still_at(1), after=1)
    taken: list[str] = []

    def take(batch: Batch) -> bool:
        taken.extend(item.cursor for item in batch.items if isinstance(item, Message))
        return len(taken) < 3

    with feed.subscribe() as subscription:
        follower = feed.follow(subscription)
        assert await follower.advance() is None
        subscription.attach(lambda: taken.append("woken"), lambda burst: follower.pass_on(burst, take))
        for event in events[1:]:
            await publish(hub, [event])
        assert taken == ["2", "3", "4", "woken"]
        rest = await follower.advance()
    assert rest is not None
    assert [item.cursor for item in rest.items if isinstance(item, Message)] == ["4", "5"]
    assert follower.is_over


async def test_terminal_event_is_never_passed_on(engine: AsyncEngine, ours: Writer) -> None:
    task = await ours.submit()
    await ours.enter(task, "SUCCESS")
    stream = Stream(Hub(SETTINGS), engine, ours.organization_id, task)
    feed = replace(stream.feed, read=_still_at(1), after=1)
    (_, ended) = await EventLog(engine).page(stream.caller, task, after=0, most=100)
    with feed.subscribe() as subscription:
        follower = feed.follow(subscription)
        assert await follower.advance() is None
        assert not follower.pass_on(subject_burst([ended]), lambda _: True)


def _still_at(seq: int) -> Read:
    async def read() -> Representation | None:
        return Representation(seq=seq, data={}, is_terminal=False)

    return read
