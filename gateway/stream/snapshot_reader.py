"""Reads every committed event exactly once, by the difference of two snapshots of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from workerapp.db.statements import load


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the news."""

    rows: Sequence[Any]
    #: The snapshot up to which everything was read; none while there are more pages.
    cursor: str | None
    #: Reading began anew: what happened before this page may not have been told.
    is_start: bool = False


@dataclass(frozen=True, slots=True)
class _Position:
    """Everything that `seen` sees has been read; `newest_id` is the highest id among it."""

    seen: str
    newest_id: int


@dataclass(frozen=True, slots=True)
class _Catching:
    """In the middle of a large difference: everything up to the event `last_id` has been read."""

    target: str
    last_id: int


class SnapshotReader:
    """Remembers how far it read; the connection may be another one each time, to the same primary."""

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._statements = load("events")
        self._position: _Position | None = None
        self._catching: _Catching | None = None

    async def read(self, connection: asyncpg.Connection) -> Page:
        """The next page of news, which may be empty."""
        if self._position is None:
            return await self._start(connection)
        if self._catching is not None:
            return await self._read_more(connection, self._position, self._catching)
        return await self._read_news(connection, self._position)

    async def _start(self, connection: asyncpg.Connection) -> Page:
        row = await connection.fetchrow(self._statements["start_tail"])
        self._position = _Position(row["cursor"], row["newest_id"])
        self._catching = None
        return Page((), row["cursor"], is_start=True)

    async def _read_news(self, connection: asyncpg.Connection, position: _Position) -> Page:
        rows = await connection.fetch(self._statements["read_news"], position.seen, position.newest_id, self._page_size)
        target = rows[0]["cursor"]
        if _xmax(target) < _xmax(position.seen):
            # A restored database, or a crash took back transaction ids: the cursor is of another history.
            return await self._start(connection)
        return self._advance(position, target, [row for row in rows if row["id"] is not None])

    async def _read_more(self, connection: asyncpg.Connection, position: _Position, catching: _Catching) -> Page:
        rows = await connection.fetch(
            self._statements["read_more_news"],
            position.seen,
            position.newest_id,
            self._page_size,
            catching.target,
            catching.last_id,
        )
        return self._advance(position, catching.target, rows)

    def _advance(self, position: _Position, target: str, rows: Sequence[Any]) -> Page:
        last_id = rows[-1]["id"] if rows else self._catching.last_id if self._catching else 0
        if len(rows) == self._page_size:
            self._catching = _Catching(target, last_id)
            return Page(rows, cursor=None)
        self._position = _Position(target, max(position.newest_id, last_id))
        self._catching = None
        return Page(rows, cursor=target)


def _xmax(snapshot: str) -> int:
    """The first transaction id that a `pg_snapshot` (`xmin:xmax:list`) does not know."""
    return int(snapshot.split(":")[1])
