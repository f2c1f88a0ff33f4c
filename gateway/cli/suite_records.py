"""Tests in a file: one JSON object a line (`.jsonl`), or a table with a head (`.csv`)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from workerapp.contract.specs import MAX_INPUT_LENGTH

#: The line a record ends on, and its fields.
Record: TypeAlias = tuple[int, dict[str, Any]]


class RecordsInvalid(Exception):
    """The file is not what its name says; the message says where."""


def read_records(path: Path) -> Iterator[Record]:
    """Read a file of tests.

    Raises:
        RecordsInvalid: its form is not known or not kept to.
        OSError: it cannot be read.
    """
    readers = {".jsonl": _read_json_lines, ".csv": _read_table}
    if path.suffix.lower() not in readers:
        raise RecordsInvalid(f"{path} must end in .jsonl or .csv")
    try:
        yield from readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise RecordsInvalid(f"{path} is not UTF-8 (byte {error.start})") from error


def _read_json_lines(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _json_object(line, f"{path}, line {number}")


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise RecordsInvalid(f"{where}: this is not JSON: {reason}") from error
    if not isinstance(value, dict):
        raise RecordsInvalid(f"{where}: this is not an object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _read_table(path: Path) -> Iterator[Record]:
    csv.field_size_limit(MAX_INPUT_LENGTH * 2)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            head = next(reader, [])
            for row in reader:
                if row:
                    yield reader.line_num, _cells(head, row, f"{path}, line {reader.line_num}")
        except csv.Error as error:
            raise RecordsInvalid(f"{path}, line {reader.line_num}: this is not CSV: {error}") from error


def _cells(head: list[str], row: list[str], where: str) -> dict[str, Any]:
    if len(row) != len(head):
        raise RecordsInvalid(f"{where}: there are {len(row)} cells, and {len(head)} in the head")
    # An empty cell says nothing: a test without an expected value, not one that expects an empty answer.
    return {name: cell or None for name, cell in zip(head, row, strict=True)}
