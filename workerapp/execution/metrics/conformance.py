"""Holding a JSON value against a tenant's schema, within a time limit.

Whoever writes the schema and whoever writes the answer may both be hostile: references can multiply the work without
end, and patterns can. So every keyword looks at the clock, and those whose own work is not linear are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from time import monotonic
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from jsonschema_specifications import REGISTRY

from workerapp.contract.json_values import as_json
from workerapp.contract.patterns import PatternInvalid, compile_pattern
from workerapp.execution.metrics.finding import CannotJudge, JudgingLimits, quote

_REASON_LENGTH = 300

_deadline: ContextVar[float] = ContextVar("deadline")


class _OutOfTime(Exception):
    """The time for the schema is over."""


def first_fault(document: Any, schema: Mapping[str, Any], limits: JudgingLimits) -> str | None:
    """Why the value does not fit the schema; None if it does.

    Raises:
        CannotJudge: that could not be found out in time, or at all.
    """
    reset = _deadline.set(monotonic() + limits.schema_seconds)
    try:
        fault = next(_Validator(schema, registry=REGISTRY).iter_errors(document), None)
    except (_OutOfTime, TimeoutError):
        raise CannotJudge(f"the schema took more than {limits.schema_seconds:g} seconds") from None
    except RecursionError:
        raise CannotJudge("the schema or the output is nested too deeply, or the schema refers to itself") from None
    except ArithmeticError:
        raise CannotJudge("the output has a number that is too large for the schema") from None
    except PatternInvalid as exc:
        raise CannotJudge(str(exc)) from None
    finally:
        _deadline.reset(reset)
    return None if fault is None else f"at {fault.json_path}: {_shorten(fault.message)}"


def _shorten(message: str) -> str:
    return message if len(message) <= _REASON_LENGTH else message[:_REASON_LENGTH] + "…"


def _seconds_left() -> float:
    left = _deadline.get() - monotonic()
    if left <= 0:
        raise _OutOfTime
    return left


def _timed(keyword: Callable[..., Any]) -> Callable[..., Any]:
    def look_at_the_clock_first(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _seconds_left()
        return keyword(validator, value, instance, schema)

    return look_at_the_clock_first


def _matches(pattern: str, text: str) -> bool:
    return compile_pattern(pattern).search(text, timeout=_seconds_left()) is not None


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{quote(instance)} does not match {quote(pattern)}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    for pattern, subschema in patterns.items() if isinstance(instance, dict) else ():
        for name, item in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(item, subschema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in instance.items() if isinstance(instance, dict) else ():
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError(f"the property {quote(name)} is not allowed")
        else:
            yield from validator.descend(item, allowed, path=name)


def _unique_items(_validator: Any, unique: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if unique and isinstance(instance, list) and len({_identity(item) for item in instance}) < len(instance):
        yield ValidationError(f"{quote(instance)} has an item twice")


def _identity(value: Any) -> str:
    """A text that two values share when JSON Schema holds them for equal, as it does 1 and 1.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return f"[{','.join(map(_identity, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{as_json(name)}:{_identity(value[name])}" for name in sorted(value)) + "}"
    return as_json(value)


_KEYWORDS = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_TIMED = {name: _timed(keyword) for name, keyword in _KEYWORDS.items()}
_Validator = extend(Draft202012Validator, _TIMED)  # type: ignore[no-untyped-call]
