"""Metrics that compare the output with the expected value as a whole or look for it inside."""

from __future__ import annotations

from workerapp.contract.json_values import as_text
from workerapp.contract.metrics import Contains, ContainsAll, ContainsAny, Equals, IEquals, StartsWith
from workerapp.execution.metrics.comparison import same
from workerapp.execution.metrics.finding import Answered, Finding, found, quote, wanted, wanted_texts


def equals(metric: Equals, answered: Answered) -> Finding:
    expected = wanted(metric.value, answered)
    holds = same(answered.output, expected)
    return found(holds=holds, reason=f"expected {quote(expected)}, the output is {quote(answered.output)}")


def iequals(metric: IEquals, answered: Answered) -> Finding:
    expected = wanted(metric.value, answered)
    holds = answered.text.strip().casefold() == as_text(expected).strip().casefold()
    return found(holds=holds, reason=f"expected {quote(expected)}, the output is {quote(answered.output)}")


def contains(metric: Contains, answered: Answered) -> Finding:
    expected = as_text(wanted(metric.value, answered))
    holds = _fold(expected, ignore=metric.ignore_case) in _fold(answered.text, ignore=metric.ignore_case)
    return found(holds=holds, reason=f"looked for {quote(expected)} in {quote(answered.output)}")


def contains_any(metric: ContainsAny, answered: Answered) -> Finding:
    values = wanted_texts(metric.values, answered)
    text = _fold(answered.text, ignore=metric.ignore_case)
    holds = any(_fold(value, ignore=metric.ignore_case) in text for value in values)
    return found(holds=holds, reason=f"looked for one of {quote(list(values))} in {quote(answered.output)}")


def contains_all(metric: ContainsAll, answered: Answered) -> Finding:
    values = wanted_texts(metric.values, answered)
    text = _fold(answered.text, ignore=metric.ignore_case)
    missing = [value for value in values if _fold(value, ignore=metric.ignore_case) not in text]
    reason = f"{len(missing)} of {len(values)} not found: {quote(missing)}" if missing else f"all {len(values)} found"
    return Finding(1 - len(missing) / len(values), reason)


def starts_with(metric: StartsWith, answered: Answered) -> Finding:
    expected = as_text(wanted(metric.value, answered))
    holds = _fold(answered.text, ignore=metric.ignore_case).startswith(_fold(expected, ignore=metric.ignore_case))
    return found(holds=holds, reason=f"expected {quote(expected)} at the start of {quote(answered.output)}")


def _fold(text: str, *, ignore: bool) -> str:
    return text.casefold() if ignore else text
