"""Which tasks: the conditions of a list, and of what is done to many at once."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement

from gateway.api.answers import In
from workerapp.contract.states import FINAL_TASK_STATES
from workerapp.db.tables import task

MOST_STATUSES = 20

#: A state of Celery's, or one of the task's own.
_State: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,50}$")]


class TaskFilter(In):
    """What a task must be, all of it; `created_after` is the first moment, `created_before` the first one after."""

    status: Annotated[tuple[_State, ...], Field(max_length=MOST_STATUSES)] = ()
    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    queue: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        found: list[ColumnElement[bool]] = []
        if self.status:
            found.append(task.c.state.in_(self.status))
            if not FINAL_TASK_STATES & {*self.status}:
                # An index has what is open, which is little beside what has ended.
                found.append(task.c.finished_at.is_(None))
        if self.name is not None:
            found.append(task.c.name == self.name)
        if self.queue is not None:
            found.append(task.c.queue == self.queue)
        if self.created_after is not None:
            found.append(task.c.created_at >= self.created_after)
        if self.created_before is not None:
            found.append(task.c.created_at < self.created_before)
        return found
