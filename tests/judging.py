"""Judging an answer in a test, by metrics written as a suite writes them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from workerapp.contract.metrics import Metric
from workerapp.execution.metrics.evaluate import Judged, compute, conclude
from workerapp.execution.metrics.finding import Answered
from workerapp.execution.metrics.verdict import Score, Verdict

METRICS: TypeAdapter[list[Metric]] = TypeAdapter(list[Metric])


def judge(
    metrics: list[dict[str, Any]],
    output: Any = None,
    expected: Any = None,
    *,
    pass_threshold: float | None = None,
    **answered: Any,
) -> Verdict:
    answer = Answered(output=output, expected=expected, **answered)
    parsed: list[Any] = METRICS.validate_python(metrics)
    scores = compute([Judged(metrics=parsed, answered=answer)])
    return conclude(parsed, scores, pass_threshold=pass_threshold)


def score(metric: dict[str, Any], output: Any = None, expected: Any = None, **answered: Any) -> Score:
    return judge([metric], output, expected, **answered).scores[0]
