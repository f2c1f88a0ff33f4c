"""An organization's log read by cursors alone: each event once and in order, or an open word that it cannot be."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stream.envelope import EncodedEvent
from gateway.stream.event_filter import EventFilter, types_of
from gateway.stream.event_log import After, EventLog, OrganizationPage, Start
from gateway.stream.organization_cursor import decode_position, encode_position
from gateway.stream.snapshot import Snapshot
from tests.integration.streams import Writer, writer
from tests.postgres import TestDatabase
from tests.records import connect
from tests.waiting import settled_log
from workerapp.contract.caller import Caller
from workerapp.db.migrations.migrate import upgrade
from workerapp.db.statements import clause, load
from workerapp.db.tenant import tenant_transaction

Told = list[tuple[str, int]]


class Client:
    """Knows nothing but its last cursor, as text."""

    def __init__(self, engine: AsyncEngine, ours: Writer, after: After = Start.NOW) -> None:
        self.log = EventLog(engine)
        self.caller = caller(ours)
        self.cursor = ""
        self._start = after

    async def read(self, most: int = 100, **options: object) -> OrganizationPage:
        after = decode_position(self.cursor) if self.cursor else self._start
        page = await self.log.organization_page(self.caller, after, most=most, **options)  # type: ignore[arg-type]
        self.cursor = encode_position(page.position)
        return page

    async def read_all(self, most: int = 100) -> Told:
        told: Told = []
        while True:
            page = await self.read(most)
            assert not page.is_reset
            told += names(page.events)
            if not page.has_more:
                return told


def caller(ours: Writer) -> Caller:
    return Caller(organization_id=ours.organization_id)


def names(events: Sequence[EncodedEvent]) -> Told:
    return [(event.event.subject, event.seq) for event in events]


async def started(engine: AsyncEngine, ours: Writer, after: After = Start.NOW) -> Client:
    client = Client(engine, ours, after)
    assert (await client.read(1)).events is not None
    return client


def prune(database: TestDatabase) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("SELECT prune_events('30 days', 0, 1000)")


async def settled(database: TestDatabase) -> None:
    with connect(database.admin_url) as admin:
        await asyncio.to_thread(settled_log, admin)


def age_all(database: TestDatabase) -> None:
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE task_event SET at = now() - interval '40 days'")


async def test_event_of_a_late_commit_is_told_though_its_id_is_lower(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    client = await started(engine, ours)
    async with writer(database, ours.organization_id, autocommit=False) as late:
        await late.submit("late")
        await ours.submit("quick")
        assert await client.read_all() == [("quick", 1)]
        await late.connection.commit()
    assert await client.read_all() == [("late", 1)]
    assert await client.read_all() == []


async def test_transaction_behind_the_latest_that_ended_is_late_too(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    async with writer(database, ours.organization_id, autocommit=False) as first:
        await first.connection.execute("SELECT pg_current_xact_id()")
        async with writer(database, ours.organization_id, autocommit=False) as second:
            await second.submit("second")  # the higher transaction id, the lower event id
            await first.submit("first")
            await first.connection.commit()
            client = await started(engine, ours)
            await second.connection.commit()
    assert await client.read_all() == [("second", 1)]


async def test_difference_of_two_moments_is_read_in_pages_whatever_commits_meanwhile(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    client = await started(engine, ours)
    async with writer(database, ours.organization_id, autocommit=False) as late:
        await late.submit("late")
        for number in range(5):
            await ours.submit(f"task-{number}")
        pages = [await client.read(2)]
        await late.connection.commit()
        await ours.submit("new")
        pages += [await client.read(2) for _ in range(2)]
    assert [names(page.events) for page in pages] == [
        [("task-0", 1), ("task-1", 1)],
        [("task-2", 1), ("task-3", 1)],
        [("task-4", 1)],
    ]
    assert all(page.has_more for page in pages)
    assert await client.read_all() == [("late", 1), ("new", 1)]


async def test_others_late_events_are_not_told(database: TestDatabase, engine: AsyncEngine, ours: Writer) -> None:
    async with writer(database) as stranger, writer(database, stranger.organization_id, autocommit=False) as late:
        await late.submit("late")
        client = await started(engine, ours)
        theirs = await started(engine, stranger)
        await late.connection.commit()
        await stranger.submit("quick")
        assert await client.read_all() == []
        client.cursor = theirs.cursor
        assert await client.read_all() == []
        assert await theirs.read_all() == [("late", 1), ("quick", 1)]


async def test_late_events_are_only_those_of_the_current_organization(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    await ours.submit("mine")
    with psycopg.connect(database.admin_url, options="-c search_path=gateway") as admin:
        xids = admin.execute("SELECT array_agg(xid)::text FROM task_event").fetchone()
    assert xids is not None
    every = f"SELECT subject_id FROM late_events('{xids[0]}', '9000000', '9000000')"
    async with writer(database) as stranger, tenant_transaction(engine, caller(stranger)) as connection:
        assert (await connection.execute(text(every))).all() == []
    async with engine.begin() as connection:
        assert (await connection.execute(text(every))).all() == []
    async with tenant_transaction(engine, caller(ours)) as connection:
        assert (await connection.execute(text(every))).scalars().all() == ["mine"]


async def test_filtered_page_ends_at_its_last_event_or_where_it_stopped_looking(
    engine: AsyncEngine, ours: Writer
) -> None:
    client = Client(engine, ours, Start.EARLIEST)
    for number in range(4):
        await ours.submit(f"task-{number}")
        await ours.enter(f"task-{number}", "STARTED")
    only = EventFilter(types=types_of(("task.started",)))
    pages = [await client.read(2, only=only, scan=3) for _ in range(3)]
    assert [names(page.events) for page in pages] == [[("task-0", 2)], [("task-1", 2), ("task-2", 2)], [("task-3", 2)]]
    assert [page.has_more for page in pages[:2]] == [True, True]


@pytest.mark.parametrize("most", [1, 7, 500])
async def test_forty_writers_are_told_once_and_in_order_by_cursors_alone(
    database: TestDatabase, engine: AsyncEngine, ours: Writer, most: int
) -> None:
    tasks = [await ours.submit() for _ in range(10)]
    client = await started(engine, ours)
    from_the_start = Client(engine, ours, Start.EARLIEST)
    told: Told = []
    early = names((await from_the_start.read(most)).events)
    async with writer(database) as stranger:
        foreign = [await stranger.submit() for _ in range(3)]
        writing = asyncio.gather(
            *(_write_at_random(database, ours, tasks, seed) for seed in range(36)),
            *(_write_at_random(database, stranger, foreign, seed) for seed in range(4)),
        )
        while not writing.done():
            told += names((await client.read(most)).events)
        await writing
    told += await client.read_all(most)
    early += await from_the_start.read_all(most)

    with connect(database.admin_url) as admin:
        written = admin.execute(
            "SELECT subject_id, seq FROM task_event WHERE organization_id = %s", (ours.organization_id,)
        ).fetchall()
    assert len(written) == 10 + 36 * 10
    assert sorted(told) == sorted(event for event in written if event[1] > 1)
    assert sorted(early) == sorted(written)
    for each in (told, early):
        by_subject = defaultdict(list)
        for subject, seq in each:
            by_subject[subject].append(seq)
        assert all(numbers == sorted(numbers) for numbers in by_subject.values())


async def _write_at_random(database: TestDatabase, whose: Writer, tasks: list[str], seed: int) -> None:
    dice = random.Random(seed)
    async with writer(database, whose.organization_id, autocommit=False) as one:
        for number in range(10):
            if dice.random() < 0.5:
                await one.connection.execute("SELECT pg_current_xact_id()")
            await one.progress(dice.choice(tasks), [seed, number])
            await one.connection.execute("SELECT pg_sleep(%s)", (dice.random() * 0.01,))
            await one.connection.commit()


async def test_what_was_told_may_be_removed_and_what_was_not_makes_a_new_start(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    behind, before = await started(engine, ours), await started(engine, ours)
    await ours.submit("old")
    await ours.enter("old", "SUCCESS")
    await settled(database)
    await behind.read_all()
    age_all(database)
    prune(database)
    await ours.submit("new")
    assert await behind.read_all() == [("new", 1)]
    page = await before.read()
    assert (page.is_reset, page.events, page.has_more) == (True, (), False)
    await ours.submit("newer")
    assert await before.read_all() == [("newer", 1)]


async def test_removing_what_was_told_does_not_stop_a_client_in_the_middle(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    for name in ("first", "second"):
        await ours.submit(name)
        await ours.enter(name, "SUCCESS")
    await settled(database)
    ahead, behind = Client(engine, ours, Start.EARLIEST), Client(engine, ours, Start.EARLIEST)
    assert names((await ahead.read(3)).events) == [("first", 1), ("first", 2), ("second", 1)]
    assert names((await behind.read(1)).events) == [("first", 1)]
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE task_event SET at = now() - interval '40 days' WHERE subject_id = 'first'")
    prune(database)
    assert await ahead.read_all() == [("second", 2)]
    assert (await behind.read()).is_reset
    assert await Client(engine, ours, Start.EARLIEST).read_all() == [("second", 1), ("second", 2)]


async def test_removing_nothing_expires_nothing(database: TestDatabase, engine: AsyncEngine, ours: Writer) -> None:
    client = await started(engine, ours)
    await ours.submit("waiting")
    age_all(database)
    prune(database)
    assert await client.read_all() == [("waiting", 1)]


async def test_cursor_of_a_copy_of_the_database_makes_a_new_start(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    client = await started(engine, ours)
    await ours.submit("task")
    for change in (
        "UPDATE event_log SET epoch = gen_random_uuid()",
        # As a restored dump makes the table: anew.
        (
            "DROP FUNCTION late_events; ALTER TABLE task_event RENAME TO old;"
            " CREATE TABLE task_event (LIKE old INCLUDING ALL)"
        ),
    ):
        with connect(database.admin_url) as admin:
            admin.execute(change)
        upgrade(database.admin_url)
        assert (await client.read()).is_reset
        assert not (await client.read()).is_reset


async def test_events_of_a_dump_from_another_server_are_old_and_not_to_come(
    database: TestDatabase, engine: AsyncEngine, ours: Writer
) -> None:
    """That server had come much further with its transaction ids."""
    await ours.submit("restored")
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE task_event SET xid = '9000000000'")
        admin.execute("UPDATE event_log SET pruned_xid = '8000000000'")
        upgrade(database.admin_url)
    client = await started(engine, ours)
    await ours.submit("new")
    assert await client.read_all() == [("new", 1)]
    page = await EventLog(engine).organization_page(
        Caller(organization_id=ours.organization_id), Start.EARLIEST, most=10
    )
    assert [event.event.subject for event in page.events] == ["restored", "new"]


async def test_cursor_from_the_future_makes_a_new_start(engine: AsyncEngine, ours: Writer) -> None:
    client = await started(engine, ours)
    position = decode_position(client.cursor)
    future = replace(position.seen, snapshot=Snapshot(9_000_000_000, 9_000_000_000), next_xid=9_000_000_000)
    for ahead in (position.advanced_to(future), position.advanced_within(future, 0)):
        client.cursor = encode_position(ahead)
        assert (await client.read()).is_reset


async def test_transaction_id_handed_out_again_after_a_crash_hides_no_event(engine: AsyncEngine, ours: Writer) -> None:
    client = await started(engine, ours)
    position = decode_position(client.cursor)
    xmax = position.seen.snapshot.xmax
    # As if the 50 next transactions had been seen to end, and then were forgotten by a crash of the server.
    seen = replace(position.seen, snapshot=Snapshot(xmax + 50, xmax + 50), next_xid=xmax + 50)
    client.cursor = encode_position(position.advanced_to(seen))
    await ours.submit("after")
    for _ in range(60):
        await ours.connection.execute("SELECT pg_current_xact_id()")
    assert await client.read_all() == [("after", 1)]


async def test_many_transactions_in_a_forged_cursor_are_only_looked_up(engine: AsyncEngine, ours: Writer) -> None:
    await ours.submit("seen")
    client = await started(engine, ours)
    position = decode_position(client.cursor)
    xmax = position.seen.snapshot.xmax
    first = max(1, xmax - 5_000)
    forged = replace(position.seen, snapshot=Snapshot(first, xmax, tuple(range(first, xmax))))
    client.cursor = encode_position(position.advanced_to(forged))
    assert await client.read_all() == [("seen", 1)]


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_page_costs_what_it_holds_however_long_the_log_is(
    database: TestDatabase, engine: AsyncEngine, ours: Writer, *, is_analyzed: bool
) -> None:
    await ours.submit("first")
    client = await started(engine, ours)
    with psycopg.connect(database.admin_url, autocommit=True, options="-c search_path=gateway") as admin:
        # Else the server may analyze the table when it has only the first of them, as if there were one organization.
        admin.execute("ALTER TABLE task_event SET (autovacuum_enabled = off)")
        mine, others = f"'{ours.organization_id}'", "gen_random_uuid()"
        for organization_id in (mine, others, others, mine):
            admin.execute(
                f"INSERT INTO task_event (organization_id, subject_id, seq, type, data) SELECT {organization_id},"
                " gen_random_uuid(), 1, 'task.pending', '{}' FROM generate_series(1, 20000)".encode()
            )
        if is_analyzed:
            admin.execute("ANALYZE task_event")
    middle = (await client.read(20_000)).position
    assert middle.catching is not None
    parameters = {
        "organization_id": ours.organization_id,
        "at_work": "{700,701,702}",
        "xmax": str(middle.seen.snapshot.xmax),
        "next_xid": str(middle.seen.next_xid),
        "seen_id": middle.seen.newest_id,
        "last_id": middle.last_id,
        "target": str(middle.catching.target.snapshot),
        "target_id": middle.catching.target.newest_id,
        "most": 100,
    }
    explain = text("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + load("events")["read_organization"])
    async with tenant_transaction(engine, client.caller) as connection:
        await connection.execute(clause("events", "read_log"), parameters)
        (found,) = (await connection.execute(explain, parameters)).scalar_one()
    assert found["Plan"]["Actual Rows"] == 100
    assert found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"] < 50
