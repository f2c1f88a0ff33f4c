"""Stands in for a named metric that a run does not have: it cannot judge, and says why."""

from __future__ import annotations

from typing import NoReturn

from workerapp.contract.metric import MetricBase
from workerapp.execution.metrics.finding import Answered, CannotJudge

UNRESOLVED = "metric"


class Unresolved(MetricBase):
    """A reference to a metric that is not there, or that does not become one with what the reference changes."""

    type: str = UNRESOLVED
    problem: str


def unresolved(metric: Unresolved, _: Answered) -> NoReturn:
    raise CannotJudge(metric.problem)
