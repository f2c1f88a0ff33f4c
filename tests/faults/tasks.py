"""The tasks of a fault run: each execution leaves a row, so that it can be counted afterwards."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import chord, shared_task
from celery.exceptions import Ignore
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.waiting import until
from workerapp.base import BaseTask, with_tenant_context

NOTE = text("INSERT INTO faults.execution (task_id, task) VALUES (:task_id, :task)")
CLAIM = text("INSERT INTO faults.begun (task_id) VALUES (:task_id) ON CONFLICT DO NOTHING")


@shared_task(base=BaseTask, bind=True, name="tests.faults.count")
@with_tenant_context
def count(self: BaseTask, number: int, db: Session) -> int:
    note(self, db)
    return number


@shared_task(base=BaseTask, bind=True, name="tests.faults.collect")
@with_tenant_context
def collect(self: BaseTask, parts: list[int], db: Session) -> int:
    """The body of a chord."""
    note(self, db)
    return sum(parts)


@shared_task(base=BaseTask, bind=True, name="tests.faults.become_chord")
@with_tenant_context
def become_chord(self: BaseTask, size: int, db: Session) -> Any:
    """Become a chord, in one transaction and only once: a second delivery finds the first one's row."""
    if not db.execute(CLAIM, {"task_id": self.request.id}).rowcount:  # type: ignore[attr-defined]
        raise Ignore
    return self.replace(chord([count.s(number) for number in range(size)], collect.s()))


@shared_task(base=BaseTask, bind=True, name="tests.faults.end_at")
def end_at(self: BaseTask, gate: str) -> str:
    """End when the file `gate` is there, which is while the database is away; it must be able to end again."""
    until(Path(gate).exists, 60)
    return "ended"


def note(task: BaseTask, db: Session) -> None:
    db.execute(NOTE, {"task_id": task.request.id, "task": task.name})
