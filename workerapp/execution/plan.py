"""Plans a run: what will be executed, and by which lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from pydantic import ValidationError
from sqlalchemy import RowMapping
from sqlalchemy.orm import Session

from workerapp.contract.repetition import AnswersAgain, Repetition, TestsAgain
from workerapp.contract.specs import ConfigurationSpec, EndpointSpec
from workerapp.db.statements import clause
from workerapp.execution.named_metrics import NAMED_METRICS, read_named_metrics

#: Where the snapshot of a run has the run whose answers it judges again; its endpoint is not asked.
RESCORE_OF = "rescore_of"


class PlanFailed(Exception):
    """The run cannot be planned; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LanePlan:
    """One lane to be started: `task_id` is the id its task must have."""

    test_run_id: UUID
    number: int
    task_id: str


def plan_run(
    db: Session, test_run_id: UUID, *, lane_concurrency: int, repetition: Repetition | None = None
) -> list[LanePlan] | None:
    """Plan the run in the open transaction; None if it is planned or has ended already.

    It has the tests of the configuration's set, or those that it repeats of another run, as they were then.

    Raises:
        PlanFailed: the run is gone, has no tests, or its stored definition is not valid any more.
    """
    run = db.execute(clause("runs", "lock"), {"run": test_run_id}).mappings().one_or_none()
    if run is None:
        raise PlanFailed("The run does not exist.")
    if run["planned"] is not None or run["finished_at"] is not None:
        return None
    concurrency = _read_concurrency(run)
    planned, version = _plan_results(db, run, repetition)
    snapshot = _snapshot(db, run, repetition) | {"test_set_version": version}
    snapshot[NAMED_METRICS] = read_named_metrics(db, run, snapshot["configuration"])
    db.execute(clause("runs", "begin"), {"run": test_run_id, "planned": planned, "snapshot": Jsonb(snapshot)})
    return add_lanes(db, run, _split(concurrency, planned, lane_concurrency))


def _plan_results(db: Session, run: RowMapping, repetition: Repetition | None) -> tuple[int, int | None]:
    """One pending result for each test: how many there are, and the version of the set that they are of."""
    if repetition is None:
        statement, tests = "plan_results", {"test_set": run["test_set_id"]}
    elif isinstance(repetition, TestsAgain):
        statement, tests = "plan_tests_again", {"source": repetition.source_id, "statuses": repetition.statuses}
    else:
        statement, tests = "plan_answers_again", {"source": repetition.source_id}
    planned = db.execute(clause("runs", statement), {"run": run["id"]} | tests).one_or_none()
    if planned is None or planned.tests == 0:
        what = "The test set has no tests." if repetition is None else "The source has no such results any more."
        raise PlanFailed(what)
    return planned.tests, planned.version


def _snapshot(db: Session, run: RowMapping, repetition: Repetition | None) -> dict[str, Any]:
    """What the run's lanes work by. Answers that are judged again are those of the endpoint as it was."""
    if isinstance(repetition, AnswersAgain):
        source: dict[str, Any] = db.execute(clause("runs", "snapshot"), {"run": repetition.source_id}).scalar_one()
        configuration = run["configuration"]
        if repetition.metrics is not None:
            metrics = [metric.model_dump(mode="json") for metric in repetition.metrics]
            configuration = configuration | {"metrics": metrics}
        return source | {"configuration": configuration, RESCORE_OF: str(repetition.source_id)}
    return {
        "endpoint_id": str(run["endpoint_id"]),
        "endpoint": run["endpoint"],
        "configuration": run["configuration"],
    }


def add_lanes(db: Session, run: RowMapping, limits: list[int]) -> list[LanePlan]:
    """Give the run a new lane for each concurrency limit."""
    return [_add_lane(db, run, limit) for limit in limits]


def revive_run(db: Session, test_run_id: UUID, *, lane_concurrency: int, grace: float) -> list[LanePlan]:
    """Give a planned run whose lanes are gone new ones; none if it has ended or somebody works on it.

    A lane made less than `grace` seconds ago counts as at work.
    """
    run = db.execute(clause("runs", "lock"), {"run": test_run_id}).mappings().one_or_none()
    if run is None or run["planned"] is None or run["finished_at"] is not None or run["pending"] == 0:
        return []
    if db.execute(clause("runs", "live_lanes"), {"run": test_run_id, "grace": grace}).scalar_one():
        return []
    db.execute(clause("runs", "retire_lanes"), {"run": test_run_id})
    return add_lanes(db, run, _split(_read_concurrency(run), run["pending"], lane_concurrency))


def _add_lane(db: Session, run: RowMapping, limit: int) -> LanePlan:
    task_id = str(uuid4())
    row: dict[str, Any] = {
        "run": run["id"],
        "organization_id": run["organization_id"],
        "concurrency": limit,
        "task_id": task_id,
    }
    number = db.execute(clause("runs", "add_lane"), row).scalar_one()
    return LanePlan(test_run_id=run["id"], number=number, task_id=task_id)


def _read_concurrency(run: RowMapping) -> int:
    """How many of the run's tests may be executed at once."""
    try:
        endpoint = EndpointSpec.model_validate(run["endpoint"])
        configuration = ConfigurationSpec.model_validate(run["configuration"])
    except ValidationError as error:
        raise PlanFailed(f"The stored definition is not valid: {error.errors()[0]['msg']}.") from error
    if configuration.mode == "sequential":
        return 1
    return min(configuration.concurrency, endpoint.max_concurrency or configuration.concurrency)


def _split(concurrency: int, tests: int, lane_concurrency: int) -> list[int]:
    """Split the run's concurrency over lanes exactly; the sum of the limits is the run's limit."""
    total = min(concurrency, tests)
    lanes = -(-total // lane_concurrency)
    return [total // lanes + (1 if number < total % lanes else 0) for number in range(lanes)]
