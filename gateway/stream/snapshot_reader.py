"""Reads every committed event exactly once, by the difference of two snapshots of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.stream.organization_cursor import Mark, Position
from gateway.stream.snapshot import Snapshot
from gateway.stream.span import Span
from workerapp.db.statements import load


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the news, and the part of the log that they are all of."""

    rows: Sequence[Any]
    span: Span
    #: Reading began anew: what happened before this page may not have been told.
    is_start: bool = False


class SnapshotReader:
    """Remembers how far it read; the connection may be another one each time, to the same primary."""

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._statements = load("events")
        self._epoch = b""
        self._position: Position | None = None

    async def connect(self, connection: asyncpg.Connection) -> None:
        """Take up reading on a new connection; in another history of the database it begins anew."""
        self._epoch = await connection.fetchval(self._statements["read_epoch"])
        if self._position is not None and self._position.epoch != self._epoch:
            self._position = None

    async def read(self, connection: asyncpg.Connection) -> Page:
        """The next page of news, which may be empty."""
        if self._position is None:
            return await self._start(connection)
        if self._position.catching is not None:
            return await self._read_more(connection, self._position, self._position.catching.target)
        return await self._read_news(connection, self._position)

    async def _start(self, connection: asyncpg.Connection) -> Page:
        row = await connection.fetchrow(self._statements["start_tail"])
        self._position = Position(self._epoch, _mark(row))
        return Page((), Span(self._position, self._position), is_start=True)

    async def _read_news(self, connection: asyncpg.Connection, position: Position) -> Page:
        seen = position.seen
        rows = await connection.fetch(
            self._statements["read_news"], str(seen.snapshot), seen.newest_id, self._page_size
        )
        target = _mark(rows[0])
        if target.snapshot.xmax < seen.snapshot.xmax:
            # A crash took back transaction ids: the cursor is of another history.
            return await self._start(connection)
        return self._advance(position, target, [row for row in rows if row["id"] is not None])

    async def _read_more(self, connection: asyncpg.Connection, position: Position, target: Mark) -> Page:
        rows = await connection.fetch(
            self._statements["read_more_news"],
            str(position.seen.snapshot),
            position.seen.newest_id,
            self._page_size,
            str(target.snapshot),
            position.last_id,
            target.newest_id,
        )
        return self._advance(position, target, rows)

    def _advance(self, position: Position, target: Mark, rows: Sequence[Any]) -> Page:
        is_full = len(rows) == self._page_size
        after = position.advanced_within(target, rows[-1]["id"]) if is_full else position.advanced_to(target)
        self._position = after
        return Page(rows, Span(position, after))


def _mark(row: Any) -> Mark:
    return Mark(Snapshot.parse(row["cursor"]), row["newest_id"], row["next_xid"])
