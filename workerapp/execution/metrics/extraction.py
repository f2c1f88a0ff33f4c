"""Metrics that search the output with a pattern."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from workerapp.contract.json_values import as_text
from workerapp.contract.metrics import Extract, Regex
from workerapp.contract.patterns import PatternInvalid, compile_pattern
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, found, quote, wanted

MAX_NUMBER_LENGTH = 1_000


def regex(metric: Regex, answered: Answered) -> Finding:
    holds = _search(metric, answered) is not None
    verb = "is found" if holds else "is not found"
    return found(holds=holds, reason=f"the pattern {quote(metric.pattern)} {verb} in {quote(answered.output)}")


def extract(metric: Extract, answered: Answered) -> Finding:
    """A wrong or a missing extraction is a wrong answer; only a useless expected value cannot be judged."""
    expected = _drop(as_text(wanted(metric.value, answered)), metric.drop)
    target = _number_expected(expected) if metric.compare == "number" else None
    extracted = _search(metric, answered)
    if extracted is None:
        return found(
            holds=False, reason=f"the pattern {quote(metric.pattern)} finds nothing in {quote(answered.output)}"
        )
    extracted = _drop(extracted, metric.drop)
    reason = f"expected {quote(expected)}, extracted {quote(extracted)}"
    if target is None:
        return found(holds=extracted == expected, reason=reason)
    number = _number(extracted)
    if number is None:
        return found(holds=False, reason=f"{reason}, which is not a number")
    return found(holds=_close(number, target, metric.tolerance), reason=reason)


def _search(metric: Regex | Extract, answered: Answered) -> str | None:
    """The first group, or the whole match where the pattern has no group or the group took no part."""
    try:
        pattern = compile_pattern(metric.pattern, ignore_case=metric.ignore_case)
        match = pattern.search(answered.text, timeout=answered.pattern_seconds)
    except TimeoutError:
        raise CannotJudge(
            f"the pattern {quote(metric.pattern)} searched for more than {answered.pattern_seconds:g} seconds"
        ) from None
    except PatternInvalid as exc:  # Compiled when it was defined; a deeper stack or a newer library may refuse it here.
        raise CannotJudge(str(exc)) from None
    if match is None:
        return None
    group = match.group(1) if pattern.groups else None
    return match.group() if group is None else group


def _drop(text: str, characters: str) -> str:
    return text.translate(dict.fromkeys(map(ord, characters))).strip()


def _number(text: str) -> Decimal | None:
    if len(text) > MAX_NUMBER_LENGTH:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number_expected(text: str) -> Decimal:
    number = _number(text)
    if number is None:
        raise CannotJudge(f"the expected value {quote(text)} is not a number")
    return number


def _close(number: Decimal, target: Decimal, tolerance: float) -> bool:
    if number == target:
        return True
    try:
        return tolerance > 0 and abs(number - target) <= Decimal(str(tolerance))
    except ArithmeticError:  # So far apart that their difference has no decimal.
        return False
