"""Change tasks while clients watch: at once or late, together or alone, and take back some of what was written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from tests.soak.truth import UNDONE

STATES = ("STARTED", "RETRY", "LOADING", "JUDGING")
FINAL = ("SUCCESS", "FAILURE", "REVOKED")
NAMES = ("summarize", "translate", "judge")
SUBMIT = "INSERT INTO task (id, organization_id, name) VALUES (%s, %s, %s)"
# Whoever holds a task's row for seconds keeps nobody waiting, and nobody ends in a deadlock.
OPEN = (
    "UPDATE task SET {} WHERE id IN (SELECT id FROM task WHERE id = ANY (%s)"
    " AND state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED') FOR NO KEY UPDATE SKIP LOCKED)"
)
TELL = OPEN.format("progress = %s")
ENTER = OPEN.format("state = %s")
END = (
    "UPDATE task SET state = (ARRAY['SUCCESS', 'FAILURE', 'REVOKED'])[1 + length(id || name) %% 3]"
    " WHERE organization_id = ANY (%s) AND state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED')"
)
LONGEST = 2.0
RECONNECT = 0.2


class Writer:
    """Changes tasks of one organization, or of several in one transaction, until told to stop."""

    def __init__(self, address: str, tasks: Sequence[tuple[UUID, str]], chance: random.Random) -> None:
        self._address = address
        self._tasks = tasks
        self._chance = chance
        self._written = 0
        self.committed = 0
        self.rolled_back = 0
        self._habits: dict[Callable[[psycopg.AsyncConnection], Awaitable[None]], int] = {
            self._write_one: 6,
            self._write_many: 10,
            self._begin_early: 3,
            self._commit_late: 2,
            self._take_part_back: 3,
            self._take_all_back: 3,
            self._end_one: 1,
        }

    async def run(self, over: asyncio.Event) -> None:
        """Write until it is over; a connection that is lost is made anew."""
        while not over.is_set():
            # A rollback that finds its connection gone comes through.
            with suppress(psycopg.OperationalError, psycopg.InterfaceError, psycopg.Rollback):
                await self._write_on(over)
            await asyncio.sleep(RECONNECT)

    async def _write_on(self, over: asyncio.Event) -> None:
        async with await connect(self._address) as connection:
            while not over.is_set():
                (habit,) = self._chance.choices(list(self._habits), list(self._habits.values()))
                self._written = 0
                async with connection.transaction():
                    await habit(connection)
                self.committed += self._written

    async def _write_one(self, connection: psycopg.AsyncConnection) -> None:
        await self._change(connection, 1)

    async def _write_many(self, connection: psycopg.AsyncConnection) -> None:
        for _ in range(self._chance.randint(1, 3)):
            await self._change(connection, self._chance.randint(2, 20))

    async def _begin_early(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SELECT pg_current_xact_id()")
        await self._dawdle()
        await self._change(connection, 5)

    async def _commit_late(self, connection: psycopg.AsyncConnection) -> None:
        await self._change(connection, 2)
        await self._dawdle()
        await self._change(connection, 2)

    async def _take_part_back(self, connection: psycopg.AsyncConnection) -> None:
        await self._change(connection, 2)
        written = self._written
        async with connection.transaction() as savepoint:
            await self._change(connection, 4, UNDONE)
            raise psycopg.Rollback(savepoint)
        self._written = written
        self.rolled_back += 1
        async with connection.transaction():
            await self._change(connection, 2)

    async def _take_all_back(self, connection: psycopg.AsyncConnection) -> None:
        await self._change(connection, self._chance.randint(1, 20), UNDONE)
        if self._chance.random() < 0.2:
            await self._dawdle()
        self._written = 0
        self.rolled_back += 1
        raise psycopg.Rollback

    async def _end_one(self, connection: psycopg.AsyncConnection) -> None:
        """End a task now and then, and put another one in its organization."""
        organization_id, task_id = self._chance.choice(self._tasks)
        if self._chance.random() < 0.2:
            await self._execute(connection, ENTER, (self._chance.choice(FINAL), [task_id]))
        parameters = (str(uuid4()), organization_id, self._chance.choice(NAMES))
        await self._execute(connection, SUBMIT, parameters)

    async def _change(self, connection: psycopg.AsyncConnection, most: int, note: str = "") -> None:
        tasks = [task for _, task in self._chance.choices(self._tasks, k=most)]
        if not note and self._chance.random() < 0.2:
            await self._execute(connection, ENTER, (self._chance.choice(STATES), tasks))
            return
        progress = {"count": self._chance.random(), "note": note, "text": "…" * self._chance.randrange(280)}
        await self._execute(connection, TELL, (Jsonb(progress), tasks))

    async def _execute(self, connection: psycopg.AsyncConnection, statement: str, parameters: tuple[Any, ...]) -> None:
        self._written += (await connection.execute(statement.encode(), parameters)).rowcount

    async def _dawdle(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, LONGEST))


async def connect(address: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(address, options="-c search_path=gateway", autocommit=True)


def submit_tasks(admin: psycopg.Connection, organization_id: UUID, count: int) -> list[str]:
    """Tasks that nobody runs; their ids."""
    ids = [str(uuid4()) for _ in range(count)]
    for number, task_id in enumerate(ids):
        admin.execute(SUBMIT, (task_id, organization_id, NAMES[number % len(NAMES)]))
    return ids


def end_tasks(admin: psycopg.Connection, organization_ids: Sequence[UUID]) -> None:
    """Give every task that is open its last state."""
    admin.execute(END, (list(organization_ids),))
