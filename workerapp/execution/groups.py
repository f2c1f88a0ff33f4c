"""Groups of runs: which of their runs are to be started, and what a group that has ended answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from workerapp.db.statements import clause


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingRun:
    """A run to be started: `task_id` is the id its task must have."""

    test_run_id: UUID
    test_configuration_id: UUID
    task_id: str


def begin_group(db: Session, run_group_id: UUID) -> list[WaitingRun]:
    """Begin the group in the open transaction; without runs if it has begun already, has ended, or is cancelled."""
    group = {"group": run_group_id}
    db.execute(clause("groups", "lock_runs"), group)
    if not db.execute(clause("groups", "begin"), group).rowcount:  # type: ignore[attr-defined]
        return []
    return [WaitingRun(**row) for row in db.execute(clause("groups", "to_start"), group).mappings()]


def settle_group(db: Session, run_group_id: UUID) -> dict[str, Any] | None:
    """Settle the group in the open transaction if all of its runs have ended; what its task answers, or None."""
    group = {"group": run_group_id}
    if db.execute(clause("groups", "settle"), group).scalar_one() is None:
        return None
    result: dict[str, Any] = db.execute(clause("groups", "result"), group).scalar_one()
    return result
