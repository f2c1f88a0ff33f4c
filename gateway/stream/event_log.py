"""The stored events of a subject or of an organization, page by page, as the caller may read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.stream.envelope import EncodedEvent, encode, encode_row, event_of
from gateway.stream.event_filter import EVERYTHING, EventFilter
from gateway.stream.log_state import LogState
from gateway.stream.organization_cursor import Mark, Position
from gateway.stream.snapshot import Snapshot
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import Isolation, tenant_transaction


class Start(Enum):
    """Where a client begins that has no cursor."""

    #: Behind what has happened so far.
    NOW = "now"
    #: At the oldest event that retention has kept.
    EARLIEST = "earliest"


After: TypeAlias = Position | Start


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationPage:
    """Some of an organization's events, and the position behind them."""

    events: Sequence[EncodedEvent]
    #: Where reading began.
    before: Position
    position: Position
    #: Whether reading on from the position is likely to give more at once.
    has_more: bool = False
    #: The given position cannot be continued; there are no events, and the new one is now.
    is_reset: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationNow:
    """An organization at one moment."""

    position: Position
    #: How many test runs are in each status that is not the last.
    open_test_runs: dict[str, int]


#: All statements of a read see one moment: what the snapshot says, what was pruned, and the events.
ONE_MOMENT: Isolation = "REPEATABLE READ"


class EventLog:
    """Reads `task_event`; each read is a short transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, caller: Caller, subject_id: str, *, after: int, most: int) -> list[EncodedEvent]:
        """The first events of a subject after a cursor."""
        parameters = {
            "subject_id": subject_id,
            "organization_id": caller.organization_id,
            "after": after,
            "most": most,
        }
        async with tenant_transaction(self._engine, caller) as connection:
            rows = await connection.execute(clause("events", "read_subject"), parameters)
            return [encode_row(row) for row in rows.mappings()]

    async def organization_page(
        self, caller: Caller, after: After, *, most: int, only: EventFilter = EVERYTHING, scan: int | None = None
    ) -> OrganizationPage:
        """The next events of the caller's organization that pass the filter, in the order of each subject.

        At most `most` are given and, with a filter, at most `scan` looked at (none: `most`): the page may be empty and
        have more.
        """
        async with tenant_transaction(self._engine, caller, isolation=ONE_MOMENT) as connection:
            log = await _read_state(connection, caller.organization_id)
            position = _position(log, after)
            if not log.can_continue(position):
                return OrganizationPage(events=(), before=position, position=log.end(), is_reset=True)
            target = position.catching.target if position.catching else log.now
            limit = most if only == EVERYTHING else max(most, scan or most)
            rows = await _read_difference(connection, caller.organization_id, position, target, limit)
        events, last_id = _select(rows, only, most)
        is_through = len(rows) < limit and (not rows or last_id == rows[-1]["id"])
        return OrganizationPage(
            events=events,
            before=position,
            position=position.advanced_to(target) if is_through else position.advanced_within(target, last_id),
            has_more=not is_through or target != log.now,
        )

    async def organization_now(self, caller: Caller) -> OrganizationNow:
        """The end of the caller's log, and what is going on there."""
        parameters = {"organization_id": caller.organization_id}
        async with tenant_transaction(self._engine, caller, isolation=ONE_MOMENT) as connection:
            log = await _read_state(connection, caller.organization_id)
            rows = await connection.execute(clause("events", "count_open_runs"), parameters)
            return OrganizationNow(position=log.end(), open_test_runs={row.status: row.runs for row in rows})


async def _read_state(connection: AsyncConnection, organization_id: UUID) -> LogState:
    result = await connection.execute(clause("events", "read_log"), {"organization_id": organization_id})
    row = result.one()
    now = Mark(Snapshot.parse(row.snapshot), row.newest_id, row.next_xid)
    return LogState(now=now, epoch=row.epoch, pruned_xid=row.pruned_xid, pruned_id=row.pruned_id)


def _position(log: LogState, after: After) -> Position:
    if isinstance(after, Position):
        return after
    return log.end() if after is Start.NOW else log.beginning()


async def _read_difference(
    connection: AsyncConnection, organization_id: UUID, position: Position, target: Mark, limit: int
) -> Sequence[Any]:
    seen = position.seen
    parameters = {
        "organization_id": organization_id,
        "at_work": f"{{{','.join(map(str, seen.snapshot.xip))}}}",
        "xmax": str(seen.snapshot.xmax),
        "next_xid": str(seen.next_xid),
        "seen_id": seen.newest_id,
        "last_id": position.last_id,
        "target": str(target.snapshot),
        "target_id": target.newest_id,
        "most": limit,
    }
    result = await connection.execute(clause("events", "read_organization"), parameters)
    return result.mappings().all()


def _select(rows: Sequence[Any], only: EventFilter, most: int) -> tuple[list[EncodedEvent], int]:
    """The first events that pass, and the id of the last one looked at."""
    events: list[EncodedEvent] = []
    for row in rows:
        event = event_of(row)
        if only.matches(event):
            events.append(encode(event))
            if len(events) == most:
                return events, event.id
    return events, rows[-1]["id"] if rows else 0
