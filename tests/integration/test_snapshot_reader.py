"""Every committed event is read once and in the order of its subject, however transactions overlap."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from gateway.stream.organization_cursor import Mark, Position
from gateway.stream.snapshot import Snapshot
from gateway.stream.snapshot_reader import Page, SnapshotReader
from tests.integration.streams import Writer, reader_connection, writer
from tests.postgres import TestDatabase

PAGE = 100


class NaiveReader:
    """What anybody writes first: everything after the highest id seen."""

    def __init__(self) -> None:
        self._last = 0

    async def read(self, connection: asyncpg.Connection) -> list[int]:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM task_event WHERE id > $1", self._last)]
        self._last = max(ids, default=self._last)
        return ids


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncGenerator[asyncpg.Connection]:
    async with reader_connection(database) as opened:
        yield opened


async def started(connection: asyncpg.Connection, page_size: int = PAGE) -> SnapshotReader:
    reader = SnapshotReader(page_size)
    await reader.connect(connection)
    assert (await reader.read(connection)).is_start
    return reader


def told(page: Page) -> list[tuple[str, int]]:
    return [(row["subject_id"], row["seq"]) for row in page.rows]


def seen_up_to(position: Position, xid: int, newest_id: int) -> Position:
    return position.advanced_to(Mark(Snapshot(xid, xid), newest_id=newest_id, next_xid=xid))


async def read_all(reader: SnapshotReader, connection: asyncpg.Connection) -> list[Any]:
    rows: list[Any] = []
    while True:
        page = await reader.read(connection)
        rows += page.rows
        if page.span.is_complete:
            return rows


async def test_event_of_a_late_commit_is_lost_by_ids_and_not_by_snapshots(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    reader, naive = await started(connection), NaiveReader()
    async with writer(database, ours.organization_id, autocommit=False) as late:
        await late.submit("late")  # draws the lower id
        await ours.submit("quick")  # draws the higher id and commits
        first, first_naive = told(await reader.read(connection)), await naive.read(connection)
        await late.connection.commit()
    second, second_naive = told(await reader.read(connection)), await naive.read(connection)
    assert (first, second) == ([("quick", 1)], [("late", 1)])
    assert (len(first_naive), len(second_naive)) == (1, 0)
    assert told(await reader.read(connection)) == []


async def test_long_transaction_holds_nobody_up(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    reader = await started(connection)
    async with writer(database, ours.organization_id, autocommit=False) as long:
        await long.submit("long")
        for number in range(3):
            await ours.submit(f"quick-{number}")
            assert told(await reader.read(connection)) == [(f"quick-{number}", 1)]


async def test_order_within_a_subject_is_kept_when_transaction_ids_are_inverted(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    await ours.submit("task")
    reader = await started(connection)
    async with writer(database, ours.organization_id, autocommit=False) as early:
        await early.connection.execute("SELECT pg_current_xact_id()")  # the lower transaction id, but the later change
        await ours.enter("task", "STARTED")
        await early.enter("task", "SUCCESS")
        await early.connection.commit()
    xids = [
        row["xid"] for row in await connection.fetch("SELECT xid::text::bigint AS xid FROM task_event ORDER BY seq")
    ]
    assert xids[1] > xids[2]
    assert told(await reader.read(connection)) == [("task", 2), ("task", 3)]


async def test_rolled_back_change_is_never_told(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    reader = await started(connection)
    async with writer(database, ours.organization_id, autocommit=False) as undone:
        await undone.submit("undone")
        assert told(await reader.read(connection)) == []
        await undone.connection.rollback()
    await ours.submit("done")
    assert told(await reader.read(connection)) == [("done", 1)]


async def test_what_was_there_at_the_start_is_not_told(connection: asyncpg.Connection, ours: Writer) -> None:
    await ours.submit("old")
    reader = await started(connection)
    await ours.submit("new")
    assert told(await reader.read(connection)) == [("new", 1)]


async def test_large_difference_comes_in_pages_of_one_fixed_pair(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    reader = await started(connection, page_size=10)
    async with writer(database, ours.organization_id, autocommit=False) as late:
        await late.submit("late")
        for number in range(25):
            await ours.submit(f"task-{number:02}")
        pages = [await reader.read(connection)]
        await late.connection.commit()  # belongs to the next difference, though its id is the lowest
        await ours.submit("new")  # so does this one, whose id is the highest
        pages += [await reader.read(connection) for _ in range(2)]
    assert [len(page.rows) for page in pages] == [10, 10, 5]
    assert [page.span.is_complete for page in pages] == [False, False, True]
    assert [subject for page in pages for subject, _ in told(page)] == [f"task-{number:02}" for number in range(25)]
    assert told(await reader.read(connection)) == [("late", 1), ("new", 1)]


async def test_difference_of_exactly_one_page_is_told_once(connection: asyncpg.Connection, ours: Writer) -> None:
    reader = await started(connection, page_size=2)
    await ours.submit("a")
    await ours.submit("b")
    rows = await read_all(reader, connection)
    assert [row["subject_id"] for row in rows] == ["a", "b"]
    assert await read_all(reader, connection) == []


async def test_another_connection_reads_on_in_the_middle_of_a_page(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    reader = await started(connection, page_size=2)
    for number in range(5):
        await ours.submit(f"task-{number}")
    first = told(await reader.read(connection))
    async with reader_connection(database) as another:
        rest = await read_all(reader, another)
    assert [subject for subject, _ in first] + [row["subject_id"] for row in rest] == [f"task-{n}" for n in range(5)]


async def test_transaction_id_handed_out_again_after_a_crash_hides_no_event(
    connection: asyncpg.Connection, ours: Writer
) -> None:
    reader = await started(connection)
    await ours.submit("before")
    page = await reader.read(connection)
    xmax = page.span.after.seen.snapshot.xmax
    # As if the 50 next transactions had been seen to end, and then were forgotten by a crash of the server.
    reader._position = seen_up_to(page.span.after, xmax + 50, page.rows[-1]["id"])
    await ours.submit("after")
    for _ in range(60):
        await ours.connection.execute("SELECT pg_current_xact_id()")
    assert told(await reader.read(connection)) == [("after", 1)]
    assert told(await reader.read(connection)) == []


async def test_cursor_of_another_history_makes_reading_begin_anew(connection: asyncpg.Connection, ours: Writer) -> None:
    reader = await started(connection)
    assert reader._position is not None
    reader._position = seen_up_to(reader._position, 9_000_000_000, 0)
    page = await reader.read(connection)
    assert page.is_start
    await ours.submit("task")
    assert told(await reader.read(connection)) == [("task", 1)]


async def test_another_epoch_makes_reading_begin_anew(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    reader = await started(connection)
    await ours.connection.execute("UPDATE event_log SET epoch = gen_random_uuid()")
    await ours.submit("before")
    async with reader_connection(database) as another:
        await reader.connect(another)
        assert (await reader.read(another)).is_start
        await ours.submit("after")
        assert told(await reader.read(another)) == [("after", 1)]


async def test_forty_writers_lose_nothing_repeat_nothing_and_invert_nothing(
    database: TestDatabase, connection: asyncpg.Connection, ours: Writer
) -> None:
    tasks = [await ours.submit() for _ in range(20)]
    reader, naive = await started(connection), NaiveReader()
    await naive.read(connection)
    seen: list[Any] = []
    seen_by_naive: list[int] = []
    writing = asyncio.gather(*(_write_at_random(database, ours, tasks, seed) for seed in range(40)))
    while not writing.done():
        seen += await read_all(reader, connection)
        seen_by_naive += await naive.read(connection)
    await writing
    seen += await read_all(reader, connection)
    seen_by_naive += await naive.read(connection)

    written = {row["id"] for row in await connection.fetch("SELECT id FROM task_event WHERE seq > 1")}
    assert len(written) == 40 * 15
    assert sorted(row["id"] for row in seen) == sorted(written)
    assert set(seen_by_naive) < written
    by_subject = defaultdict(list)
    for row in seen:
        by_subject[row["subject_id"]].append(row["seq"])
    assert all(numbers == list(range(2, len(numbers) + 2)) for numbers in by_subject.values())


async def _write_at_random(database: TestDatabase, ours: Writer, tasks: list[str], seed: int) -> None:
    dice = random.Random(seed)
    async with writer(database, ours.organization_id, autocommit=False) as one:
        for number in range(15):
            if dice.random() < 0.5:
                await one.connection.execute("SELECT pg_current_xact_id()")
            await one.progress(dice.choice(tasks), [seed, number])
            await one.connection.execute("SELECT pg_sleep(%s)", (dice.random() * 0.01,))
            await one.connection.commit()
