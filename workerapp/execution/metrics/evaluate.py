"""Judging one answer by its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from workerapp.contract.metric import MetricBase
from workerapp.contract.states import ResultStatus
from workerapp.execution.metrics import documents, extraction, responses, similarity, texts
from workerapp.execution.metrics.comparison import OPERATORS
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, found
from workerapp.execution.metrics.unresolved import UNRESOLVED, unresolved
from workerapp.execution.metrics.verdict import Score, Verdict

_JUDGES: Mapping[str, Callable[[Any, Answered], Finding]] = {
    "equals": texts.equals,
    "iequals": texts.iequals,
    "contains": texts.contains,
    "contains_any": texts.contains_any,
    "contains_all": texts.contains_all,
    "starts_with": texts.starts_with,
    "regex": extraction.regex,
    "extract": extraction.extract,
    "category": extraction.category,
    "is_json": documents.is_json,
    "json_schema": documents.json_schema,
    "jsonpath": documents.jsonpath,
    "levenshtein": similarity.levenshtein,
    "rouge_l": similarity.rouge_l,
    "f1": similarity.f1,
}
#: What judges a response that has no output, too.
_RESPONSE_JUDGES: Mapping[str, Callable[[Any, Answered], Finding]] = {
    "latency": responses.latency,
    "http_status": responses.http_status,
    UNRESOLVED: unresolved,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An answer and the metrics that judge it; `turn` if they are those of a single turn."""

    metrics: Sequence[MetricBase]
    answered: Answered
    turn: int | None = None


def compute(judged: Sequence[Judged]) -> list[Score]:
    """The score of every metric, in their order; all must be arithmetic."""
    ends_at = perf_counter() + judged[0].answered.limits.test_seconds
    return [_score(metric, one, ends_at) for one in judged for metric in one.metrics]


def conclude(metrics: Sequence[MetricBase], scores: Sequence[Score], *, pass_threshold: float | None = None) -> Verdict:
    """What the scores of all metrics add up to; those of weight 0 are reported and decide nothing.

    The test passes when every other metric does or, with a `pass_threshold`, when the weighted score reaches it.
    """
    deciding = [(metric.weight, score) for metric, score in zip(metrics, scores, strict=True) if metric.weight > 0]
    if not deciding:
        return Verdict(status=ResultStatus.UNSCORED, scores=tuple(scores))
    mean = _mean(deciding)
    status, reason = _outcome([score for _, score in deciding], mean, pass_threshold)
    return Verdict(status=status, scores=tuple(scores), score=mean, reason=reason)


def scored(metric: Any, finding: Finding | CannotJudge, *, turn: int | None, started: float) -> Score:
    """What a metric found, or why it could not judge, as a score; `started` is when it began, by `perf_counter`."""
    score: float | None = None
    passed: bool | None = None
    if isinstance(finding, CannotJudge):
        reason = str(finding)
    else:
        reason = finding.reason
        threshold = 1.0 if metric.threshold is None else metric.threshold
        holds = OPERATORS[metric.threshold_operator](finding.score, threshold)
        passed = (holds if finding.passed is None else finding.passed) is not metric.not_
        score = 1 - finding.score if metric.not_ else finding.score
    return Score(
        name=metric.name or metric.type,
        type=metric.type,
        turn=turn,
        score=score,
        passed=passed,
        threshold=metric.threshold,
        reason=f"must not be: {reason}" if metric.not_ and passed is False else reason,
        duration_ms=round((perf_counter() - started) * 1000, 3),
        origin=metric.origin,
    )


def _score(metric: MetricBase, judged: Judged, ends_at: float) -> Score:
    started = perf_counter()
    finding: Finding | CannotJudge
    try:
        finding = _find(metric, judged.answered, in_time=started <= ends_at)
    except CannotJudge as exc:
        finding = exc
    return scored(metric, finding, turn=judged.turn, started=started)


def _find(metric: Any, answered: Answered, *, in_time: bool) -> Finding:
    if not in_time:
        raise CannotJudge(f"the metrics before took all of the {answered.limits.test_seconds:g} seconds for a test")
    if metric.type in _RESPONSE_JUDGES:
        return _RESPONSE_JUDGES[metric.type](metric, answered)
    if answered.missing is not None:
        return found(holds=False, reason=f"there is no output: {answered.missing}")
    return _JUDGES[metric.type](metric, answered)


def _outcome(
    scores: Sequence[Score], mean: float | None, pass_threshold: float | None
) -> tuple[ResultStatus, str | None]:
    """A metric that could not judge outweighs all others: the test has no verdict then."""
    unjudged = next((score for score in scores if score.passed is None), None)
    if unjudged is not None:
        return ResultStatus.ERROR, unjudged.sentence
    failed = next((score for score in scores if not score.passed), None)
    if pass_threshold is not None and mean is not None:
        if mean >= pass_threshold:
            return ResultStatus.PASS, None
        because = "" if failed is None else f"; {failed.sentence}"
        return ResultStatus.FAIL, f"the weighted score {mean:g} is below {pass_threshold:g}{because}"
    return (ResultStatus.PASS, None) if failed is None else (ResultStatus.FAIL, failed.sentence)


def _mean(deciding: Sequence[tuple[float, Score]]) -> float | None:
    known = [(weight, score.score) for weight, score in deciding if score.score is not None]
    total = sum(weight for weight, _ in known)
    return round(sum(weight * score for weight, score in known) / total, 6) if total else None
