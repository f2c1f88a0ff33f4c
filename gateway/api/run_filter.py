"""Which runs: the conditions of a list, and of what is done to many at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, select

from gateway.api.answers import In
from workerapp.contract.states import FINAL_RUN_STATUSES, RunStatus
from workerapp.db.tables import test_configuration, test_run


class RunFilter(In):
    """What a run must be, all of it; `created_after` is the first moment, `created_before` the first one after."""

    status: Annotated[tuple[RunStatus, ...], Field(max_length=len(RunStatus))] = ()
    test_configuration_id: UUID | None = None
    test_set_id: UUID | None = None
    run_group_id: UUID | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        run = test_run.c
        found: list[ColumnElement[bool]] = []
        if self.status:
            found.append(run.status.in_(self.status))
            if not FINAL_RUN_STATUSES & {*self.status}:
                # An index has what is open, which is little beside what has ended.
                found.append(run.finished_at.is_(None))
        if self.test_configuration_id is not None:
            found.append(run.test_configuration_id == self.test_configuration_id)
        if self.test_set_id is not None:
            of_set = test_configuration.c.test_set_id == self.test_set_id
            found.append(run.test_configuration_id.in_(select(test_configuration.c.id).where(of_set)))
        if self.run_group_id is not None:
            found.append(run.run_group_id == self.run_group_id)
        if self.created_after is not None:
            found.append(run.created_at >= self.created_after)
        if self.created_before is not None:
            found.append(run.created_at < self.created_before)
        return found
