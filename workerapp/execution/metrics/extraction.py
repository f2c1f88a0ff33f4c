"""Metrics that search the output with a pattern."""

from __future__ import annotations

from decimal import Decimal

from workerapp.contract.json_values import as_text
from workerapp.contract.metrics import Category, Extract, Regex
from workerapp.contract.patterns import PatternInvalid, compile_pattern
from workerapp.execution.metrics.comparison import parse_number
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, found, quote, wanted, wanted_texts


def regex(metric: Regex, answered: Answered) -> Finding:
    holds = _search(metric.pattern, answered, ignore_case=metric.ignore_case) is not None
    verb = "is found" if holds else "is not found"
    return found(holds=holds, reason=f"the pattern {quote(metric.pattern)} {verb} in {quote(answered.output)}")


def extract(metric: Extract, answered: Answered) -> Finding:
    """A wrong or a missing extraction is a wrong answer; only a useless expected value cannot be judged."""
    expected = _drop(as_text(wanted(metric.value, answered)), metric.drop)
    target = _number_expected(expected) if metric.compare == "number" else None
    extracted = _search(metric.pattern, answered, ignore_case=metric.ignore_case)
    if extracted is None:
        return found(
            holds=False, reason=f"the pattern {quote(metric.pattern)} finds nothing in {quote(answered.output)}"
        )
    extracted = _drop(extracted, metric.drop)
    reason = f"expected {quote(expected)}, extracted {quote(extracted)}"
    if target is None:
        return found(holds=extracted == expected, reason=reason)
    number = parse_number(extracted)
    if number is None:
        return found(holds=False, reason=f"{reason}, which is not a number")
    return found(holds=_close(number, target, metric.tolerance), reason=reason)


def category(metric: Category, answered: Answered) -> Finding:
    """An output that is none of the categories is a wrong answer; an expected value that is none cannot be judged."""
    categories = {_fold(name, metric): name for name in metric.categories}
    passing = {_fold(name, metric) for name in wanted_texts(metric.passing, answered)}
    if strangers := sorted(passing - set(categories)):
        raise CannotJudge(f"the expected value {quote(strangers[0])} is none of the categories")
    text = answered.text
    if metric.pattern is not None:
        extracted = _search(metric.pattern, answered, ignore_case=metric.ignore_case)
        if extracted is None:
            return found(
                holds=False, reason=f"the pattern {quote(metric.pattern)} finds nothing in {quote(answered.output)}"
            )
        text = extracted
    chosen = _fold(text, metric)
    if chosen not in categories:
        return found(holds=False, reason=f"{quote(text)} is none of the categories {quote(list(metric.categories))}")
    wanted_names = [name for folded, name in categories.items() if folded in passing]
    return found(holds=chosen in passing, reason=f"the category is {quote(text)}, passing are {quote(wanted_names)}")


def _fold(name: str, metric: Category) -> str:
    return name.strip().casefold() if metric.ignore_case else name.strip()


def _search(source: str, answered: Answered, *, ignore_case: bool) -> str | None:
    """The first group, or the whole match where the pattern has no group or the group took no part."""
    seconds = answered.limits.pattern_seconds
    try:
        pattern = compile_pattern(source, ignore_case=ignore_case)
        match = pattern.search(answered.text, timeout=seconds)
    except TimeoutError:
        raise CannotJudge(f"the pattern {quote(source)} searched for more than {seconds:g} seconds") from None
    except PatternInvalid as exc:  # Compiled when it was defined; a deeper stack or a newer library may refuse it here.
        raise CannotJudge(str(exc)) from None
    if match is None:
        return None
    group = match.group(1) if pattern.groups else None
    return match.group() if group is None else group


def _drop(text: str, characters: str) -> str:
    return text.translate(dict.fromkeys(map(ord, characters))).strip()


def _number_expected(text: str) -> Decimal:
    number = parse_number(text)
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
