"""Judging one answer by its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from workerapp.contract.metrics import Metric
from workerapp.contract.states import ResultStatus
from workerapp.execution.metrics import documents, extraction, responses, similarity, texts
from workerapp.execution.metrics.comparison import OPERATORS
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, found
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
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An answer and the metrics that judge it; `turn` if they are those of a single turn."""

    metrics: Sequence[Metric]
    answered: Answered
    turn: int | None = None


def evaluate(judged: Sequence[Judged], *, pass_threshold: float | None = None) -> Verdict:
    """Judge the answers of a test by all metrics; those of weight 0 are reported and decide nothing.

    It passes when every other metric does or, with a `pass_threshold`, when the weighted score reaches it.
    """
    ends_at = perf_counter() + judged[0].answered.limits.test_seconds
    metrics = [metric for one in judged for metric in one.metrics]
    scores = tuple(_score(metric, one, ends_at) for one in judged for metric in one.metrics)
    deciding = [(metric.weight, score) for metric, score in zip(metrics, scores, strict=True) if metric.weight > 0]
    if not deciding:
        return Verdict(status=ResultStatus.UNSCORED, scores=scores)
    mean = _mean(deciding)
    status, reason = _outcome([score for _, score in deciding], mean, pass_threshold)
    return Verdict(status=status, scores=scores, score=mean, reason=reason)


def _score(metric: Metric, judged: Judged, ends_at: float) -> Score:
    started = perf_counter()
    score: float | None = None
    passed: bool | None = None
    try:
        finding = _find(metric, judged.answered, in_time=started <= ends_at)
    except CannotJudge as exc:
        reason = str(exc)
    else:
        reason = finding.reason
        threshold = 1.0 if metric.threshold is None else metric.threshold
        passed = OPERATORS[metric.threshold_operator](finding.score, threshold) is not metric.not_
        score = 1 - finding.score if metric.not_ else finding.score
    return Score(
        name=metric.name or metric.type,
        type=metric.type,
        turn=judged.turn,
        score=score,
        passed=passed,
        threshold=metric.threshold,
        reason=f"must not be: {reason}" if metric.not_ and passed is False else reason,
        duration_ms=round((perf_counter() - started) * 1000, 3),
    )


def _find(metric: Metric, answered: Answered, *, in_time: bool) -> Finding:
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
