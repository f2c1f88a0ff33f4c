"""What a gateway answered, as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from gateway.cli.plain_text import excerpt, say
from gateway.cli.rows import print_rows
from gateway.client import Model

_CELL, _LINE = 60, 1000

_Model = TypeVar("_Model", bound=Model)


def print_found(found: Iterable[Model], columns: Sequence[str], *, as_json: bool) -> None:
    """Print many: as JSON, an object a line, as they come, or as a table of these columns."""
    if as_json:
        for model in found:
            say(model.model_dump_json())
        return
    tables = [{column: _cell(getattr(model, column, None), _CELL) for column in columns} for model in found]
    print_rows(tables, as_json=False)


def print_one(model: Model, *, as_json: bool) -> None:
    """Print one: as JSON on a line, or a line for each of its fields that has a value."""
    if as_json:
        say(model.model_dump_json())
        return
    fields = {name: value for name, value in model if value is not None and name != "links"}
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name.replace('_', ' '):<{width}}  {_text(_cell(value, _LINE))}")


def first_of(found: Iterable[_Model], most: int | None) -> Iterable[_Model]:
    """The first so many; all without a number."""
    return islice(found, most)


def _cell(value: Any, length: int) -> Any:
    """Times and numbers as they are; texts from elsewhere must not move the cursor."""
    if value is None or isinstance(value, datetime | int | float):
        return value
    return excerpt(value, length)


def _text(value: Any) -> str:
    return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else str(value)
