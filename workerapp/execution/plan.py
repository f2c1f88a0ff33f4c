"""Plans a run: what will be executed, and by which lanes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from pydantic import ValidationError
from sqlalchemy import RowMapping
from sqlalchemy.orm import Session

from workerapp.contract.repetition import Repetition, TestsAgain
from workerapp.contract.specs import SEED_BITS, ConfigurationSpec, EndpointSpec, RunOptions
from workerapp.contract.trace_context import TRACEPARENT_HEADER
from workerapp.db.statements import clause
from workerapp.execution.named_metrics import NAMED_METRICS, read_named_metrics
from workerapp.tracing.span import current

#: So many tests of a large set are planned before its run begins, and the others while it is under way: to plan 100,000
#: takes a second.
HEAD_START = 5_000
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    """How many results are pending, and the version of the test set that their tests are of, where it is known."""

    results: int
    version: int | None
    #: Whether some of them are still to be made.
    goes_on: bool = False


def plan_run(
    db: Session,
    test_run_id: UUID,
    *,
    lane_concurrency: int,
    max_results: int,
    repetition: Repetition | None = None,
    overrides: RunOptions | None = None,
    head_start: int | None = None,
) -> list[LanePlan] | None:
    """Plan the run in the open transaction; None if it is planned or has ended already.

    It has the tests of the configuration's set, or those that it repeats of another run, as they were then. What
    `overrides` sets holds instead of what the configuration says. Of a set with more tests than `head_start` only so
    many are planned where that makes no difference; call `plan_rest` afterwards.

    Raises:
        PlanFailed: the run is gone, has no tests or too many, or its stored definition is not valid any more.
    """
    run = db.execute(clause("runs", "lock"), {"run": test_run_id}).mappings().one_or_none()
    if run is None:
        raise PlanFailed("The run does not exist.")
    if run["planned"] is not None or run["finished_at"] is not None:
        return None
    stored = run["configuration"] | ({} if overrides is None else overrides.model_dump(mode="json", exclude_unset=True))
    endpoint, configuration = _read_definition(run["endpoint"], stored)
    if repetition is None:
        configuration = _with_seed(configuration, run["run_group_id"])
        stored |= {"sample": configuration.sample and configuration.sample.model_dump(mode="json")}
        planned = _plan_head(db, run, configuration, max_results, head_start) or _plan_set(
            db, run, configuration, max_results
        )
        snapshot = _snapshot_of(run, stored)
    else:
        planned = _plan_again(db, test_run_id, repetition)
        snapshot = _snapshot_again(db, run, stored, repetition)
    snapshot |= {"test_set_version": planned.version}
    snapshot[TRACEPARENT_HEADER] = current.get().message_headers.get(TRACEPARENT_HEADER)
    snapshot[NAMED_METRICS] = read_named_metrics(db, run, snapshot["configuration"])
    begun = {"planned": planned.results, "planning": planned.goes_on, "snapshot": Jsonb(snapshot)}
    db.execute(clause("runs", "begin"), {"run": test_run_id} | begun)
    return add_lanes(db, run, _split(_concurrency(endpoint, configuration), planned.results, lane_concurrency))


def plan_rest(db: Session, test_run_id: UUID) -> None:
    """Plan what a run that has begun with its first tests does not have yet; nothing happens if there is nothing."""
    run = db.execute(clause("runs", "read"), {"run": test_run_id}).mappings().one_or_none()
    if run is None or not run["planning"]:
        return
    sample = ConfigurationSpec.model_validate(run["snapshot"]["configuration"]).sample
    chosen = {"test_set": run["test_set_id"], "most": None if sample is None else sample.most}
    begun = db.execute(clause("runs", "count_results"), {"run": test_run_id}).scalar_one()
    added = db.execute(clause("runs", "plan_rest"), {"run": test_run_id} | chosen).one()
    counts = {"begun": begun, "added": added.results, "version": added.version}
    db.execute(clause("runs", "end_planning"), {"run": test_run_id} | counts)
    db.execute(clause("runs", "settle"), {"run": test_run_id})


def _plan_head(
    db: Session, run: RowMapping, options: ConfigurationSpec, max_results: int, head_start: int | None
) -> _Planned | None:
    """The first tests of a large set; None if all have to be there from the beginning.

    So it is where tests are drawn, repeated in rounds, or counted for an early end, and where they may refer to metrics
    that every lane has to know.
    """
    sample = options.sample
    is_simple = options.mode == "parallel" and options.repeats == 1 and options.max_failures is None
    if head_start is None or not is_simple or (sample is not None and (sample.tags or sample.random)):
        return None
    size = db.execute(clause("runs", "size"), {"test_set": run["test_set_id"]}).one()
    results = size.tests if sample is None or sample.most is None else min(sample.most, size.tests)
    if not head_start < results <= max_results or size.has_metrics:
        return None
    head = {"run": run["id"], "test_set": run["test_set_id"], "most": head_start}
    db.execute(clause("runs", "plan_rest"), head)
    return _Planned(results=results, version=size.version, goes_on=True)


def _with_seed(configuration: ConfigurationSpec, run_group_id: UUID | None) -> ConfigurationSpec:
    """A random sample has a seed from here on, so that a run can be repeated exactly; in a group the runs have one."""
    sample = configuration.sample
    if sample is None or sample.random is None or sample.seed is not None:
        return configuration
    seed = secrets.randbits(SEED_BITS) if run_group_id is None else run_group_id.int % 2**SEED_BITS
    seeded = sample.model_copy(update={"seed": seed})
    return configuration.model_copy(update={"sample": seeded})


def _plan_set(db: Session, run: RowMapping, options: RunOptions, max_results: int) -> _Planned:
    """A pending result for each repeat of each chosen test of the set."""
    sample = options.sample
    chosen = {
        "tags": None if sample is None else sample.tags,
        "seed": None if sample is None else sample.seed,
        "most": None if sample is None else sample.most,
        "repeats": options.repeats,
        "limit": max_results,
    }
    names = {"run": run["id"], "test_set": run["test_set_id"]}
    planned = db.execute(clause("runs", "plan_results"), names | chosen).one()
    if planned.results == 0 and sample is not None and sample.tags:
        tags = ", ".join(sample.tags)
        raise PlanFailed(f"The sample leaves no test: none of the test set has one of the tags {tags}.")
    if planned.results == 0:
        raise PlanFailed("The test set has no tests.")
    if planned.results > max_results:
        advice = "Choose a smaller sample, or fewer repeats."
        raise PlanFailed(f"The run would have {planned.results} results; it may have {max_results}. {advice}")
    return _Planned(results=planned.results, version=planned.version)


def _plan_again(db: Session, test_run_id: UUID, repetition: Repetition) -> _Planned:
    """A pending result for each chosen one of the source's."""
    names: dict[str, Any] = {"run": test_run_id, "source": repetition.source_id}
    if isinstance(repetition, TestsAgain):
        statement, names = "plan_tests_again", names | {"statuses": repetition.statuses}
    else:
        statement = "plan_answers_again"
    planned = db.execute(clause("runs", statement), names).one_or_none()
    if planned is None or planned.results == 0:
        raise PlanFailed("The source has no such results any more.")
    return _Planned(results=planned.results, version=planned.version)


def _snapshot_of(run: RowMapping, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What the run's lanes work by."""
    return {
        "endpoint_id": str(run["endpoint_id"]),
        "endpoint": run["endpoint"],
        "configuration": configuration,
    }


def _snapshot_again(
    db: Session, run: RowMapping, configuration: Mapping[str, Any], repetition: Repetition
) -> dict[str, Any]:
    """As `_snapshot_of`. Which tests there are is the source's; answers judged again are of the endpoint as it was."""
    source: dict[str, Any] = db.execute(clause("runs", "snapshot"), {"run": repetition.source_id}).scalar_one()
    of_source = source["configuration"]
    configuration = {
        **configuration,
        "repeats": of_source.get("repeats", 1),
        "sample": of_source.get("sample"),
    }
    if isinstance(repetition, TestsAgain):
        return _snapshot_of(run, configuration)
    # The answers are there: ending early would spare the application nothing.
    configuration |= {"max_failures": None}
    if repetition.metrics is not None:
        configuration |= {"metrics": [metric.model_dump(mode="json") for metric in repetition.metrics]}
    return source | {"configuration": configuration, RESCORE_OF: str(repetition.source_id)}


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
    snapshot = run["snapshot"]
    concurrency = _concurrency(*_read_definition(snapshot["endpoint"], snapshot["configuration"]))
    return add_lanes(db, run, _split(concurrency, run["pending"], lane_concurrency))


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


def _read_definition(endpoint: Any, configuration: Any) -> tuple[EndpointSpec, ConfigurationSpec]:
    try:
        return EndpointSpec.model_validate(endpoint), ConfigurationSpec.model_validate(configuration)
    except ValidationError as error:
        raise PlanFailed(f"The stored definition is not valid: {error.errors()[0]['msg']}.") from error


def _concurrency(endpoint: EndpointSpec, configuration: ConfigurationSpec) -> int:
    """How many of the run's tests may be executed at once."""
    if configuration.mode == "sequential":
        return 1
    return min(configuration.concurrency, endpoint.max_concurrency or configuration.concurrency)


def _split(concurrency: int, tests: int, lane_concurrency: int) -> list[int]:
    """Split the run's concurrency over lanes exactly; the sum of the limits is the run's limit."""
    total = min(concurrency, tests)
    lanes = -(-total // lane_concurrency)
    return [total // lanes + (1 if number < total % lanes else 0) for number in range(lanes)]
