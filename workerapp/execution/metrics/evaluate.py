"""Judging one answer by its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

from workerapp.contract.metrics import Metric
from workerapp.contract.states import ResultStatus
from workerapp.execution.metrics import extraction, texts
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding
from workerapp.execution.metrics.verdict import Score, Verdict

DEFAULT_PATTERN_SECONDS = 0.1

_JUDGES: Mapping[str, Callable[[Any, Answered], Finding]] = {
    "equals": texts.equals,
    "iequals": texts.iequals,
    "contains": texts.contains,
    "contains_any": texts.contains_any,
    "contains_all": texts.contains_all,
    "starts_with": texts.starts_with,
    "regex": extraction.regex,
    "extract": extraction.extract,
}


def evaluate(
    metrics: Sequence[Metric], output: Any, expected: Any, *, pattern_seconds: float = DEFAULT_PATTERN_SECONDS
) -> Verdict:
    """Judge an output; it passes when every metric with a weight does. None as `expected` means there is none."""
    answered = Answered(output=output, expected=expected, pattern_seconds=pattern_seconds)
    scores = tuple(_score(metric, answered) for metric in metrics)
    deciding = [(metric.weight, score) for metric, score in zip(metrics, scores, strict=True) if metric.weight > 0]
    if not deciding:
        return Verdict(status=ResultStatus.UNSCORED, scores=scores)
    status, reason = _outcome(score for _, score in deciding)
    return Verdict(status=status, scores=scores, score=_mean(deciding), reason=reason)


def _score(metric: Metric, answered: Answered) -> Score:
    started = perf_counter()
    score: float | None = None
    passed: bool | None = None
    try:
        finding = _JUDGES[metric.type](metric, answered)
    except CannotJudge as exc:
        reason = str(exc)
    else:
        reason = finding.reason
        passed = (finding.score >= (1.0 if metric.threshold is None else metric.threshold)) is not metric.not_
        score = 1 - finding.score if metric.not_ else finding.score
    return Score(
        name=metric.name or metric.type,
        type=metric.type,
        score=score,
        passed=passed,
        threshold=metric.threshold,
        reason=f"must not be: {reason}" if metric.not_ and passed is False else reason,
        duration_ms=round((perf_counter() - started) * 1000, 3),
    )


def _outcome(scores: Iterable[Score]) -> tuple[ResultStatus, str | None]:
    """A metric that could not judge outweighs one that failed: the test has no verdict then."""
    failed: Score | None = None
    for score in scores:
        if score.passed is None:
            return ResultStatus.ERROR, f"{score.name}: {score.reason}"
        if not score.passed and failed is None:
            failed = score
    return (ResultStatus.PASS, None) if failed is None else (ResultStatus.FAIL, f"{failed.name}: {failed.reason}")


def _mean(deciding: Sequence[tuple[float, Score]]) -> float | None:
    known = [(weight, score.score) for weight, score in deciding if score.score is not None]
    total = sum(weight for weight, _ in known)
    return round(sum(weight * score for weight, score in known) / total, 6) if total else None
