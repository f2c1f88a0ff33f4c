"""The Jinja dialect of request templates: expressions, filters, `if` and `for` over JSON values, all of it bounded.

Anybody with an account may write a template, so the dialect is a list of what may be used. There are no calls, no
Python attributes, no `set`, macros or includes; nothing repeats a text; loops and filters draw on a budget.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workerapp.contract.json_values import as_json, as_text
from workerapp.contract.template_budget import Budget

#: Where a render keeps its budget among the variables, and two filters that the compiler puts in; no template can
#: spell these names.
BUDGET, EACH, CONCAT = " budget", " each", " concat"
_MAX_PRECISION = 20
_MAX_BITS = 1024


def budget_of(context: Context) -> Budget:
    budget = context.parent[BUDGET]
    assert isinstance(budget, Budget)
    return budget


@pass_context
def _finalize(context: Context, value: Any) -> str:
    """How a value reads inside a longer text: texts as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    budget_of(context).measure(value)
    return as_text(value)


@pass_context
def _each(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    budget = budget_of(context)
    for value in values:
        budget.spend_step()
        yield value


@pass_context
def _join(context: Context, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = values if attribute is None else (_item(value, attribute) for value in values)
    texts = [_finalize(context, item) for item in items]
    budget_of(context).check_size(sum(map(len, texts)) + len(d) * len(texts))
    return d.join(texts)


@pass_context
def _replace(context: Context, text: str, old: str, new: str) -> str:
    budget_of(context).check_size(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _item(value: Any, key: str | int) -> Any:
    try:
        return value[key]
    except (TypeError, LookupError):
        return StrictUndefined(obj=value, name=str(key))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _MAX_BITS)


def _round(value: float, precision: int = 0) -> float:
    if abs(precision) > _MAX_PRECISION:
        raise ValueError(f"round takes a precision from -{_MAX_PRECISION} to {_MAX_PRECISION}")
    return round(value, precision)


_OWN_FILTERS: Mapping[str, Callable[..., Any]] = {
    "join": _join,
    "replace": _replace,
    "round": _round,
    "string": as_text,
    "tojson": as_json,
    CONCAT: _join,
}
_JINJA_FILTERS = frozenset(
    {
        *("abs", "capitalize", "count", "d", "default", "first", "float", "int", "items", "last", "length", "list"),
        *("lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "title"),
        *("trim", "truncate", "unique", "upper", "urlencode"),
    }
)
FILTERS = _JINJA_FILTERS | {name for name in _OWN_FILTERS if name.isidentifier()}


def _bounded(name: str) -> Callable[..., Any]:
    """The filter of that name, with its inputs and its result held to the budget."""

    @pass_context
    def apply(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.spend_step()
        if not isinstance(value, Undefined):
            budget.measure(value)
        budget.measure([*args, *kwargs.values()])
        result = _PLAIN.call_filter(name, value, args, kwargs, context=context)
        if isinstance(result, Undefined):
            return result
        if isinstance(result, (Iterator, ItemsView)):
            result = budget.take(result)
        budget.measure(result)
        return result

    return apply


class Language(ImmutableSandboxedEnvironment):
    """Attributes and subscripts reach into JSON only, never into Python objects."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            str(obj)  # A strict undefined raises, and names what is missing.
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if _is_number(left) and _is_number(right) and operator != "**":
            return super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(left, (str, list)) and isinstance(right, type(left)):
            budget_of(context).check_size(len(left) + len(right))
            return super().call_binop(context, operator, left, right)
        raise TypeError(f"{operator} is for numbers of usual size; + also joins two texts or two lists")


def _language(filters: Mapping[str, Callable[..., Any]]) -> Language:
    language = Language(
        undefined=StrictUndefined, finalize=_finalize, optimized=False, keep_trailing_newline=True, cache_size=0
    )
    language.globals.clear()
    language.filters = dict(filters)
    for name in ("callable", "escaped", "filter", "sameas", "test"):
        del language.tests[name]
    return language


_PLAIN = _language({})
_PLAIN.filters = {name: ImmutableSandboxedEnvironment().filters[name] for name in _JINJA_FILTERS} | dict(_OWN_FILTERS)
LANGUAGE = _language({name: _bounded(name) for name in _PLAIN.filters} | {EACH: _each})
