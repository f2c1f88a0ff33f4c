"""What the arithmetic of one metric is given and hands back, before thresholds and negation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from workerapp.contract.json_values import as_text
from workerapp.contract.mapping import OUTPUT, TOOL_CALLS
from workerapp.execution.tool_calls import with_arguments

QUOTE_LENGTH = 120


class CannotJudge(Exception):
    """The metric lacks something it needs, or would take too long: an error, not a wrong answer."""


class NotJson(Exception):
    """The output is a text that is not JSON; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingLimits:
    """What judging may cost; beyond it a test has no verdict."""

    #: How long a pattern may search.
    pattern_seconds: float = 0.1
    #: How long an output may be held against a schema.
    schema_seconds: float = 1.0
    #: After how long the metrics of one test that are left do not judge any more.
    test_seconds: float = 5.0
    #: The longest output, and the longest expected values together, that are compared word by word or edit by edit.
    text_length: int = 20_000
    #: The longest output that is read as JSON.
    json_length: int = 1_000_000
    #: The longest text that a language model is sent to judge.
    prompt_length: int = 100_000
    #: The longest answer of a judge that is read, and how much of its reason is kept.
    verdict_length: int = 20_000
    reason_length: int = 1_000
    #: How many different judges a lane asks in one slice.
    judges: int = 100


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What is judged: the answer, and what the test expects of it (None: nothing)."""

    output: Any
    #: What else the mapping found in the response.
    extra: Mapping[str, Any] = field(default_factory=dict)
    expected: Any = None
    latency_ms: float | None = None
    http_status: int | None = None
    #: Why there is no output, where the endpoint answered with nothing but a status.
    missing: str | None = None
    limits: JudgingLimits = field(default_factory=JudgingLimits)

    @cached_property
    def text(self) -> str:
        """The output as a text."""
        return as_text(self.output)

    @cached_property
    def document(self) -> Any:
        """The output as JSON; an output that is not a text was JSON in the response.

        Raises:
            NotJson: the output is a text, and not JSON.
            CannotJudge: it is too long to be read.
        """
        return self._as_json(OUTPUT, self.output)

    def document_of(self, name: str) -> Any:
        """A mapped field as JSON, as the output is; the arguments of tool calls, which are texts, are read too.

        Raises:
            NotJson: the field is a text, and not JSON.
            CannotJudge: it is too long to be read.
            KeyError: the response has no such field.
        """
        if name == OUTPUT:
            return self.document
        document = self._as_json(name, self.extra[name])
        return with_arguments(document) if name == TOOL_CALLS else document

    def _as_json(self, name: str, value: Any) -> Any:
        size = len(as_text(value))
        if size > self.limits.json_length:
            raise CannotJudge(f"the {name} has {size} characters; {self.limits.json_length} are read as JSON")
        return _read(name, value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Finding:
    """A score from 0 to 1, and what was found in words."""

    score: float
    reason: str
    #: Where it is not the score that decides.
    passed: bool | None = None


def found(*, holds: bool, reason: str) -> Finding:
    return Finding(1.0 if holds else 0.0, reason)


def wanted(value: Any, answered: Answered) -> Any:
    """The metric's own value, else what the test expects."""
    chosen = answered.expected if value is None else value
    if chosen is None:
        raise CannotJudge("the test has no expected value and the metric has no value of its own")
    return chosen


def wanted_texts(value: Any, answered: Answered) -> tuple[str, ...]:
    """What is wanted, as one text or several."""
    chosen = wanted(value, answered)
    items = chosen if isinstance(chosen, (list, tuple)) else (chosen,)
    if not items:
        raise CannotJudge("the expected value is an empty list")
    return tuple(as_text(item) for item in items)


def quote(value: Any) -> str:
    text = as_text(value)
    return repr(text if len(text) <= QUOTE_LENGTH else text[:QUOTE_LENGTH] + "…")


def _read(name: str, text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise NotJson(f"the {name} {quote(text)} is JSON that is nested too deeply") from None
    except ValueError as exc:
        raise NotJson(f"the {name} {quote(text)} is not JSON: {exc}") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:QUOTE_LENGTH]} is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value of JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
