"""How two JSON values compare, by equality and by order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from workerapp.contract.json_values import as_text
from workerapp.execution.metrics.finding import CannotJudge, quote

MAX_NUMBER_LENGTH = 1_000

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {"=": operator.eq, "!=": operator.ne, **_ORDERS}


def same(value: Any, expected: Any) -> bool:
    """A text and another value are the same when their texts are: 18 and "18"."""
    if isinstance(value, str) or isinstance(expected, str):
        return as_text(value) == as_text(expected)
    # Python holds that True == 1; JSON does not.
    return isinstance(value, bool) == isinstance(expected, bool) and bool(value == expected)


def compare(value: Any, symbol: str, expected: Any) -> bool:
    """Numbers by size, also where a text spells one; other texts by their characters; what has no order: false.

    Raises:
        CannotJudge: the expected value has no order.
    """
    if symbol not in _ORDERS:
        return same(value, expected) is (symbol == "=")
    order, target, number = _ORDERS[symbol], _number_of(expected), _number_of(value)
    if target is not None and number is not None:
        return order(number, target)
    if isinstance(expected, str) and isinstance(value, str):
        return order(value, expected)
    if target is None:
        raise CannotJudge(f"the expected value {quote(expected)} is not a number, and {quote(value)} is no text")
    return False


def parse_number(text: str) -> Decimal | None:
    """The finite number that a text spells, of at most a thousand characters."""
    if len(text) > MAX_NUMBER_LENGTH:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number_of(value: Any) -> Decimal | None:
    is_text_or_number = isinstance(value, str | int | float) and not isinstance(value, bool)
    return parse_number(str(value)) if is_text_or_number else None
