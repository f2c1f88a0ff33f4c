"""The members of a run's chord: its lanes, and the body that collects what they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn
from uuid import UUID

import uvloop
from celery import chord, shared_task
from celery.canvas import Signature
from celery.exceptions import Ignore
from sqlalchemy.orm import Session

from workerapp.base import BaseTask, PermanentError, with_tenant_context
from workerapp.contract import tasks
from workerapp.db.statements import clause
from workerapp.execution.credentials import TokenCache
from workerapp.execution.lanes import SliceOutcome
from workerapp.execution.plan import LanePlan, revive_run
from workerapp.execution.slices import LaneSlice, run_slice

#: They outlive a slice: what one has fetched, the next lanes of this process use.
_TOKENS: TokenCache = {}


@shared_task(base=BaseTask, bind=True, name=tasks.RUN_LANE)
def run_lane(self: BaseTask, test_run_id: str, number: int, slice_number: int) -> dict[str, Any]:
    """Work one slice of a lane; while tests are left, publish the next slice under the same task id."""
    if self.organization_id is None:
        raise PermanentError("The message names no organization.")
    work = LaneSlice(
        test_run_id=UUID(test_run_id),
        number=number,
        slice=slice_number,
        organization_id=self.organization_id,
        user_id=self.user_id,
    )
    report = uvloop.run(run_slice(work, self.settings, _TOKENS))
    if report.outcome is SliceOutcome.PASSED:
        with self.get_db_session() as db:
            _check_run(db, work.test_run_id)
        raise Ignore
    if report.outcome is SliceOutcome.BUSY:
        _wait_for_lane(self, report.free_in)
    if report.outcome is SliceOutcome.CONTINUES:
        _continue_lane(self, work)
    _settle_group(self, work)
    return {"lane": number, "tests": report.tests}


def _settle_group(task: BaseTask, work: LaneSlice) -> None:
    """The run may have been the last of its group; while others go on, or without a group, nothing happens."""
    with task.get_db_session() as db:
        db.execute(clause("groups", "settle_of_run"), {"run": work.test_run_id})


def _continue_lane(task: BaseTask, work: LaneSlice) -> NoReturn:
    """Advance the lane and publish its next slice in one transaction; never a retry, which counts and stores RETRY."""
    keys = {"run": work.test_run_id, "number": work.number, "slice": work.slice, "holder": work.holder}
    with task.get_db_session() as db:
        if db.execute(clause("runs", "next_slice"), keys).rowcount:  # type: ignore[attr-defined]
            arguments = (str(work.test_run_id), work.number, work.slice + 1)
            task.signature_from_request(args=arguments, kwargs={}).apply_async()
    raise Ignore


def _wait_for_lane(task: BaseTask, seconds: float) -> NoReturn:
    """Come back when the lease of whoever holds the lane has ended, in case that process is dead."""
    task.signature_from_request(countdown=seconds + 0.5).apply_async()
    raise Ignore


@shared_task(base=BaseTask, bind=True, name=tasks.COLLECT_RESULTS)
@with_tenant_context
def collect_results(self: BaseTask, lanes: list[Any], test_run_id: str, db: Session) -> dict[str, Any]:
    """Settle the run if its last result has not done so; if lanes were lost, revive it and leave the end to them."""
    run = UUID(test_run_id)
    if db.execute(clause("runs", "settle"), {"run": run}).scalar_one() is None:
        _check_run(db, run)
        revive(self, db, run)
        raise Ignore
    counts = dict(db.execute(clause("runs", "summary"), {"run": run}).mappings().one())
    status = counts.pop("status")
    counts["total"] = counts.pop("planned")
    return {"test_run_id": test_run_id, "status": status, "counts": counts}


def _check_run(db: Session, run: UUID) -> None:
    """A task that leaves its end to others must have others: nobody would end it without a run of its organization.

    Raises:
        PermanentError: there is none.
    """
    if not db.execute(clause("runs", "exists"), {"run": run}).scalar_one():
        raise PermanentError("The run does not exist.")


def revive(task: BaseTask, db: Session, run: UUID) -> int:
    """Publish new lanes for a run that lost its own, in the open transaction; returns how many."""
    settings = task.settings.lanes
    lanes = revive_run(db, run, lane_concurrency=settings.concurrency, grace=settings.grace)
    for lane in lanes:
        lane_signature(lane).apply_async(headers={tasks.TEST_RUN_HEADER: str(run)})
    return len(lanes)


def chord_of_lanes(test_run_id: str, lanes: Sequence[LanePlan]) -> Signature:
    """The chord of a planned run; its body runs even if a lane was lost, and takes over the submitted task's id."""
    body = collect_results.s(test_run_id).set(headers={tasks.JOIN_FAILURES_HEADER: True})
    return chord([lane_signature(lane) for lane in lanes], body)


def lane_signature(lane: LanePlan) -> Signature:
    """The first slice of a lane, under the task id that the lane's row names."""
    return run_lane.s(str(lane.test_run_id), lane.number, 0).set(task_id=lane.task_id)
