"""Rows as people and as programs read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]


def print_rows(rows: Iterable[Row], *, as_json: bool) -> None:
    """As JSON, an object a line, or as a table for people."""
    found = list(rows)
    if as_json:
        for row in found:
            print(json.dumps(row, default=_plain))
        return
    if not found:
        print("There is none.")
        return
    lines = [
        [name.replace("_", " ") for name in found[0]],
        *([_cell(value) for value in row.values()] for row in found),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list):
        return ",".join(str(part) for part in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
