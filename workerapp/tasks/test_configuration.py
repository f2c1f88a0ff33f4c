"""Executes a test configuration: plans its run and becomes the chord of the run's lanes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import shared_task
from celery.exceptions import Ignore
from sqlalchemy.orm import Session

from workerapp.base import BaseTask, PermanentError, with_tenant_context
from workerapp.contract import tasks
from workerapp.contract.repetition import REPETITION
from workerapp.contract.specs import RunOptions
from workerapp.execution.plan import HEAD_START, PlanFailed, plan_rest, plan_run
from workerapp.tasks.test_run import chord_of_lanes


@shared_task(base=BaseTask, bind=True, name=tasks.EXECUTE_TEST_CONFIGURATION)
def execute_test_configuration(
    self: BaseTask, test_configuration_id: str, test_run_id: str, *, repetition: Any = None, overrides: Any = None
) -> Any:
    """Begin the run; then, while its lanes are at work, plan what a large one does not have yet."""
    try:
        return _begin(self, UUID(test_run_id), repetition=repetition, overrides=overrides)
    except Ignore:
        with self.get_db_session() as db:
            plan_rest(db, UUID(test_run_id))
        raise


@with_tenant_context
def _begin(self: BaseTask, test_run_id: UUID, db: Session, *, repetition: Any, overrides: Any) -> Any:
    """Plan the run and replace this task by its chord, in one transaction: no run is ever half started."""
    try:
        lanes = plan_run(
            db,
            test_run_id,
            lane_concurrency=self.settings.lanes.concurrency,
            max_results=self.settings.max_results_per_run,
            repetition=None if repetition is None else REPETITION.validate_python(repetition),
            overrides=RunOptions.model_validate(overrides or {}),
            head_start=HEAD_START,
        )
    except PlanFailed as error:
        raise PermanentError(str(error)) from error
    if lanes is None:
        raise Ignore
    return self.replace(chord_of_lanes(str(test_run_id), lanes))
