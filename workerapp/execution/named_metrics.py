"""Named metrics in a run: read when it is planned, so that all its tests are judged by the same versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import RowMapping
from sqlalchemy.orm import Session

from workerapp.contract.metric import MetricBase, Origin
from workerapp.contract.metrics import Definition, Metric, NamedMetric
from workerapp.db.statements import clause
from workerapp.execution.metrics.unresolved import Unresolved

#: Where a run's snapshot has the named metrics that it uses, by their ids.
NAMED_METRICS = "named_metrics"

#: Of each named metric: its name, its version and its definition.
NamedMetrics: TypeAlias = Mapping[str, Mapping[str, Any]]

_METRICS: TypeAdapter[list[Metric]] = TypeAdapter(list[Metric])
_DEFINITION: TypeAdapter[MetricBase] = TypeAdapter(Definition)


def read_named_metrics(db: Session, run: RowMapping, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The named metrics that the run's tests and this configuration refer to, as they are now.

    Those that are archived or gone are left out: whatever refers to one cannot judge.
    """
    configured = [metric["metric_id"] for metric in configuration.get("metrics", ()) if metric["type"] == "metric"]
    keys = {"run": run["id"], "organization": run["organization_id"], "configured": configured}
    rows = db.execute(clause("runs", "named_metrics"), keys).mappings()
    return {str(row["id"]): {"name": row["name"], "version": row["version"], "spec": row["spec"]} for row in rows}


def resolve(metrics: Sequence[Any], named: NamedMetrics) -> list[MetricBase]:
    """The metrics of a test or a configuration as stored, with what they refer to in the place of references."""
    return [
        _resolve(metric, named) if isinstance(metric, NamedMetric) else metric
        for metric in _METRICS.validate_python(metrics)
    ]


def _resolve(reference: NamedMetric, named: NamedMetrics) -> MetricBase:
    found = named.get(str(reference.metric_id))
    if found is None:
        problem = f"the run has no metric {reference.metric_id}: there was none when it was planned, or it was archived"
        return _unresolved(reference, problem)
    try:
        metric = _DEFINITION.validate_python({"name": found["name"], **_given(found["spec"]), **reference.changes()})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        return _unresolved(reference, f"the metric {found['name']!r} cannot be used like this: {problem}")
    return metric.coming_from(Origin(metric_id=reference.metric_id, version=found["version"]))


def _given(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The definition, without a name that it does not have."""
    return {field: value for field, value in spec.items() if field != "name" or value is not None}


def _unresolved(reference: NamedMetric, problem: str) -> MetricBase:
    changes = {"name": reference.name, "weight": reference.weight}
    given = {field: value for field, value in changes.items() if value is not None}
    return Unresolved(problem=problem, **given).coming_from(Origin(metric_id=reference.metric_id, version=None))
