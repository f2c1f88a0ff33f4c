"""Metrics of outputs that are JSON; an output that is not is a wrong answer."""

from __future__ import annotations

from workerapp.contract.mapping import MISSING, OUTPUT, MappingFailed, compile_path, find_first
from workerapp.contract.metrics import IsJson, JsonPath, JsonSchema
from workerapp.execution.metrics.comparison import compare
from workerapp.execution.metrics.conformance import first_fault
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, NotJson, found, quote, wanted


def is_json(_metric: IsJson, answered: Answered) -> Finding:
    try:
        _ = answered.document
    except NotJson as exc:
        return found(holds=False, reason=str(exc))
    return found(holds=True, reason=f"the output {quote(answered.output)} is JSON")


def json_schema(metric: JsonSchema, answered: Answered) -> Finding:
    try:
        fault = first_fault(answered.document, metric.schema_, answered.limits)
    except NotJson as exc:
        return found(holds=False, reason=str(exc))
    return found(holds=fault is None, reason=fault or f"the output {quote(answered.output)} fits the schema")


def jsonpath(metric: JsonPath, answered: Answered) -> Finding:
    """Where the path leads to nothing no comparison holds, not even that of being different."""
    expected = None if metric.operator == "exists" else wanted(metric.value, answered)
    if metric.field != OUTPUT and metric.field not in answered.extra:
        return found(holds=False, reason=f"the response has no {metric.field}")
    try:
        document = answered.document_of(metric.field)
        value = find_first(compile_path(metric.path), document)
    except NotJson as exc:
        return found(holds=False, reason=str(exc))
    except MappingFailed as exc:
        raise CannotJudge(str(exc)) from None
    if value is MISSING:
        return found(holds=False, reason=f"there is no value at {metric.path} in {quote(document)}")
    if metric.operator == "exists":
        return found(holds=True, reason=f"{metric.path} is {quote(value)}")
    holds = compare(value, metric.operator, expected)
    return found(holds=holds, reason=f"expected {metric.operator} {quote(expected)}, {metric.path} is {quote(value)}")
