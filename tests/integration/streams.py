"""What the tests of streams share: a writer of tasks, and ways to wait for what it leads to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.stream.envelope import EncodedEvent
from gateway.stream.follow import Representation
from gateway.stream.hub import Hub, Subscription
from gateway.stream.organization_cursor import Mark, Position
from gateway.stream.settings import StreamSettings
from gateway.stream.snapshot import Snapshot
from gateway.stream.span import Span
from tests.postgres import TestDatabase
from workerapp.contract.caller import Caller
from workerapp.db.address import DatabaseAddress
from workerapp.db.tenant import tenant_transaction

PATIENCE = 20.0
SETTINGS = StreamSettings(keep_alive=0.2)
FINAL = ("SUCCESS", "FAILURE", "REVOKED")


@dataclass(frozen=True)
class Writer:
    """Changes tasks; the triggers write their events."""

    connection: psycopg.AsyncConnection[Any]
    organization_id: UUID

    async def submit(self, task_id: str | None = None) -> str:
        task_id = task_id or str(uuid4())
        await self.connection.execute(
            "INSERT INTO task (id, organization_id, name) VALUES (%s, %s, 'echo')", (task_id, self.organization_id)
        )
        return task_id

    async def progress(self, task_id: str, value: object) -> None:
        await self.connection.execute("UPDATE task SET progress = %s WHERE id = %s", (json.dumps(value), task_id))

    async def enter(self, task_id: str, state: str) -> None:
        await self.connection.execute("UPDATE task SET state = %s WHERE id = %s", (state, task_id))

    async def prune(self, task_id: str, *, up_to: int) -> None:
        await self.connection.execute("DELETE FROM task_event WHERE subject_id = %s AND seq <= %s", (task_id, up_to))


async def open_writer(
    database: TestDatabase, organization_id: UUID | None = None, *, autocommit: bool = True
) -> Writer:
    connection = await psycopg.AsyncConnection.connect(
        database.admin_url, options="-c search_path=gateway", autocommit=autocommit
    )
    if organization_id is None:
        organization_id = uuid4()
        await connection.execute(
            "INSERT INTO organization (id, name) VALUES (%s, %s)", (organization_id, str(organization_id))
        )
    return Writer(connection, organization_id)


@asynccontextmanager
async def writer(
    database: TestDatabase, organization_id: UUID | None = None, *, autocommit: bool = True
) -> AsyncGenerator[Writer]:
    opened = await open_writer(database, organization_id, autocommit=autocommit)
    try:
        yield opened
    finally:
        await opened.connection.close()


@asynccontextmanager
async def reader_connection(database: TestDatabase) -> AsyncGenerator[asyncpg.Connection]:
    address = DatabaseAddress.parse(database.url)
    connection = await asyncpg.connect(**address.asyncpg_target(), **address.asyncpg_arguments(role="event_reader"))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def gateway_engine(database: TestDatabase) -> AsyncGenerator[AsyncEngine]:
    address = DatabaseAddress.parse(database.url)
    engine = create_async_engine(
        address.sqlalchemy_url("asyncpg"),
        connect_args=address.asyncpg_arguments(role="gateway_rw"),
        isolation_level="AUTOCOMMIT",
    )
    try:
        yield engine
    finally:
        await engine.dispose()


async def represent(engine: AsyncEngine, caller: Caller, task_id: str) -> Representation | None:
    async with tenant_transaction(engine, caller) as connection:
        result = await connection.exec_driver_sql("SELECT seq, state FROM task WHERE id = $1", (task_id,))
        row = result.one_or_none()
    if row is None:
        return None
    return Representation(seq=row.seq, data={"status": row.state}, is_terminal=row.state in FINAL)


async def end_tail_connections(ours: Writer) -> None:
    """End every tail's connection to the database, of which there is one."""
    cursor = await ours.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'gateway-tail' AND datname = current_database()"
    )
    assert await cursor.fetchall() == [(True,)]


async def publish(hub: Hub, events: list[EncodedEvent]) -> None:
    """As the tail would, from nowhere in the log: for streams of one subject."""
    start = Position(b"12345678", Mark(Snapshot(10, 10), newest_id=0, next_xid=10))
    await hub.publish(events, Span(start, start))


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the conditions are of other components, which signal nobody
            await asyncio.sleep(0.005)


async def collect(subscription: Subscription, *, until: int) -> list[EncodedEvent]:
    """So many events, in the order they were published."""
    events: list[EncodedEvent] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < until and subscription.end is None:
            await subscription.wait(1)
            events += [event for burst in subscription.take() for event in burst.events]
    return events
