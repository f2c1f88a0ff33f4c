"""What a judge said, read strictly: what is no verdict on the scale that was asked for is none."""

from __future__ import annotations

from typing import Any

from workerapp.contract.json_values import as_text, decode, storable_text
from workerapp.contract.judges import BinaryScale, NumericScale, Scale
from workerapp.execution.metrics.finding import Finding, JudgingLimits, quote

#: What models that think aloud end their thoughts with.
_THOUGHT = "</think>"


class NoVerdict(Exception):
    """What the judge said cannot be used; the message says why."""


def read_verdict(scale: Scale, said: Any, limits: JudgingLimits) -> Finding:
    """The verdict of a language model: the only JSON object in what it said.

    Raises:
        NoVerdict: there is none, or it is not on the scale.
    """
    verdict = _object_in(said, limits)
    reason = _reason(verdict, limits)
    if reason is None:
        raise NoVerdict("the verdict has no reason that is a text")
    if isinstance(scale, BinaryScale):
        return Finding(float(_boolean(verdict)), reason)
    if isinstance(scale, NumericScale):
        score = _number(verdict, scale.min, scale.max)
        share = (score - scale.min) / (scale.max - scale.min)
        return Finding(share, f"{score:g} on a scale from {scale.min:g} to {scale.max:g}: {reason}")
    category = verdict.get("category")
    if not isinstance(category, str) or category not in scale.choices:
        raise NoVerdict(f"its category is {quote(category)} and must be one of {quote(list(scale.choices))}")
    return Finding(scale.choices[category], f"{category}: {reason}")


def read_service_verdict(said: Any, limits: JudgingLimits) -> Finding:
    """The verdict of a service: a `score`, or `passed`, which decides where there are both.

    Raises:
        NoVerdict: it is neither.
    """
    verdict = _object_in(said, limits)
    passed = _boolean(verdict) if verdict.get("passed") is not None else None
    if verdict.get("score") is not None:
        score = _number(verdict, 0, 1)
    elif passed is None:
        raise NoVerdict("the verdict has neither score nor passed")
    else:
        score = float(passed)
    reason = _reason(verdict, limits)
    return Finding(score, "the service gave no reason" if reason is None else reason, passed)


def _object_in(said: Any, limits: JudgingLimits) -> dict[str, Any]:
    text = as_text(said).rpartition(_THOUGHT)[2].strip()
    if len(text) > limits.verdict_length:
        raise NoVerdict(f"it has {len(text)} characters; at most {limits.verdict_length} are read")
    # A model that was not held to JSON may put words or a code fence around it; two objects are no verdict.
    found = text[text.find("{") : text.rfind("}") + 1]
    try:
        verdict = decode(found)
    except (ValueError, RecursionError):
        raise NoVerdict(f"{quote(text)} is not one JSON object") from None
    if not isinstance(verdict, dict):
        raise NoVerdict(f"{quote(text)} is not a JSON object")
    return verdict


def _reason(verdict: dict[str, Any], limits: JudgingLimits) -> str | None:
    reason = verdict.get("reason")
    if not isinstance(reason, str):
        return None
    text = storable_text(reason.strip())
    return text if len(text) <= limits.reason_length else text[: limits.reason_length] + "…"


def _boolean(verdict: dict[str, Any]) -> bool:
    passed = verdict.get("passed")
    if not isinstance(passed, bool):
        raise NoVerdict(f"its passed is {quote(passed)} and must be true or false")
    return passed


def _number(verdict: dict[str, Any], least: float, most: float) -> float:
    score = verdict.get("score")
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not least <= score <= most:
        raise NoVerdict(f"its score is {quote(score)} and must be a number from {least:g} to {most:g}")
    return score
