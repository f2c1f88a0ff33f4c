"""Executes a test set: starts the runs of a group as a chord, and compares them when they have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from celery import chord, shared_task
from celery.canvas import Signature
from celery.exceptions import Ignore
from sqlalchemy.orm import Session

from workerapp.base import BaseTask, PermanentError, with_tenant_context
from workerapp.contract import tasks
from workerapp.db.statements import clause
from workerapp.execution.groups import WaitingRun, begin_group, settle_group
from workerapp.tasks.test_configuration import execute_test_configuration


@shared_task(base=BaseTask, bind=True, name=tasks.EXECUTE_TEST_SET)
@with_tenant_context
def execute_test_set(self: BaseTask, run_group_id: str, db: Session) -> Any:
    """Begin the group and replace this task by the chord of its runs, in one transaction."""
    runs = begin_group(db, UUID(run_group_id))
    if not runs:
        _check_group(db, UUID(run_group_id))
        raise Ignore
    return self.replace(chord_of_runs(run_group_id, runs))


@shared_task(base=BaseTask, bind=True, name=tasks.COMPARE_RUNS)
@with_tenant_context
def compare_runs(self: BaseTask, runs: list[Any], run_group_id: str, db: Session) -> dict[str, Any]:
    """Settle the group; if a run goes on although its task has ended, leave that to the run's last lane."""
    result = settle_group(db, UUID(run_group_id))
    if result is None:
        _check_group(db, UUID(run_group_id))
        raise Ignore
    return result


def _check_group(db: Session, run_group_id: UUID) -> None:
    """As of a run: without a group of its organization, nobody would end the task.

    Raises:
        PermanentError: there is none.
    """
    if not db.execute(clause("groups", "exists"), {"group": run_group_id}).scalar_one():
        raise PermanentError("The group of runs does not exist.")


def chord_of_runs(run_group_id: str, runs: Sequence[WaitingRun]) -> Signature:
    """The chord of a group; its body runs whatever became of the runs, and takes over the submitted task's id."""
    body = compare_runs.s(run_group_id).set(headers={tasks.JOIN_FAILURES_HEADER: True})
    return chord([run_signature(run) for run in runs], body)


def run_signature(run: WaitingRun) -> Signature:
    """The execution of one run, under the task id that the run names."""
    headers = {tasks.TEST_RUN_HEADER: str(run.test_run_id)}
    arguments = (str(run.test_configuration_id), str(run.test_run_id))
    return execute_test_configuration.s(*arguments).set(task_id=run.task_id, headers=headers)
