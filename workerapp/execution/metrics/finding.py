"""What the arithmetic of one metric hands back, before thresholds and negation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workerapp.contract.json_values import as_text

QUOTE_LENGTH = 120


class CannotJudge(Exception):
    """The metric lacks something it needs, or took too long: an error, not a wrong answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What is judged: the answer, what the test expects of it (None: nothing), and how long a pattern may search."""

    output: Any
    expected: Any
    pattern_seconds: float

    @property
    def text(self) -> str:
        return as_text(self.output)


@dataclass(frozen=True, slots=True)
class Finding:
    """A score from 0 to 1, and what was found in words."""

    score: float
    reason: str


def found(*, holds: bool, reason: str) -> Finding:
    return Finding(1.0 if holds else 0.0, reason)


def wanted(value: Any, answered: Answered) -> Any:
    """The metric's own value, else what the test expects."""
    chosen = answered.expected if value is None else value
    if chosen is None:
        raise CannotJudge("the test has no expected value and the metric has no value of its own")
    return chosen


def quote(value: Any) -> str:
    text = as_text(value)
    return repr(text if len(text) <= QUOTE_LENGTH else text[:QUOTE_LENGTH] + "…")
