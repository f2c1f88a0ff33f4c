"""Tests in a file: one JSON object a line (JSONL), or a table with a head (CSV)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

from pydantic_core import from_json

#: The fields of a test.
FIELDS = ("input", "expected", "tags", "metadata", "assertions", "turns")
#: Columns of a table whose cells are JSON; those of `input` and `expected` are texts.
JSON_COLUMNS = {
    "input_json": "input",
    "expected_json": "expected",
    "metadata": "metadata",
    "assertions": "assertions",
    "turns": "turns",
}
METADATA_PREFIX = "metadata."
#: What a record may have unless something else is set.
MAX_RECORD_BYTES = 4 * 1024 * 1024

_IN_ITS_ONE_LINE = re.compile(r" at line 1 column")


class RecordInvalid(Exception):
    """A record is not what it should be; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The line a record ends on and its fields as the file names them, or what is wrong with it."""

    line: int
    fields: Mapping[str, Any]
    fault: str | None = None


class Lines(Iterator[str]):
    """The lines of a file as texts, in memory one by one; `most` is how many bytes a record may have."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self._size = 0
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def begin(self) -> None:
        """With the next line begins another record."""
        self._size = 0

    def __next__(self) -> str:
        line = self._file.readline(self._most + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._size += len(line)
        if self._size > self._most:
            self._skip_rest(line)
            raise RecordInvalid(f"this is longer than {self._most} bytes")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise RecordInvalid(f"this is not UTF-8 (byte {error.start + 1})") from error

    def _skip_rest(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._file.readline(self._most)


def read_json_lines(lines: Lines) -> Iterator[Record]:
    """Read one JSON object a line; empty lines are passed over."""
    while True:
        lines.begin()
        try:
            text = next(lines)
            if text.strip():
                yield Record(line=lines.number, fields=_json_object(text.rstrip()))
        except RecordInvalid as error:
            yield Record(line=lines.number, fields={}, fault=str(error))
        except StopIteration:
            return


def read_table(lines: Lines) -> Iterator[Record]:
    """Read a table, a record a row; what is not CSV is the last record."""
    # The reader's own limit holds for a single cell, and for the whole process; `lines` limits the row.
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(lines, strict=True)
    try:
        head = next(reader, [])
        _check_head(head)
        lines.begin()
        for row in reader:
            if row:
                yield _row(head, row, lines.number)
            lines.begin()
    except csv.Error as error:
        yield Record(line=lines.number, fields={}, fault=f"this is not CSV: {error}")
    except RecordInvalid as error:
        yield Record(line=lines.number, fields={}, fault=str(error))


def fields_of_object(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a test in a JSON object; `names` are the file's names of them, where they differ.

    Raises:
        RecordInvalid: there is no input and there are no turns, or not a field that `names` has.
    """
    return _pick(record, names, needed=_needed(record, names))


def fields_of_row(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a test in a row; an empty cell says nothing.

    Raises:
        RecordInvalid: there is neither input nor turns, not a column that `names` has, or a cell is not JSON where it
            should be.
    """
    needed = set(names) if "input_json" in record else _needed(record, names)
    fields = {name: cell for name, cell in _pick(record, names, needed).items() if cell}
    for column, name in JSON_COLUMNS.items():
        cell = fields.get(name) if column == name else record.get(column)
        if cell:
            fields[name] = _json_cell(cell, column)
    if "tags" in fields:
        fields["tags"] = [tag.strip() for tag in fields["tags"].split(",") if tag.strip()]
    return fields | _metadata(record, fields.get("metadata", {}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How the records of a file are read, and the fields of a test in one of them."""

    read: Callable[[Lines], Iterator[Record]]
    fields: Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]]


JSON_LINES = Format(read=read_json_lines, fields=fields_of_object)
TABLE = Format(read=read_table, fields=fields_of_row)


def _needed(record: Mapping[str, Any], names: Mapping[str, str]) -> set[str]:
    """A test has an input or turns; the fields that are named otherwise must all be there."""
    if names.get("turns", "turns") in record:
        return set(names) - {"input"}
    return {"input", *names} - ({"turns"} if names.get("input", "input") in record else set())


def _pick(record: Mapping[str, Any], names: Mapping[str, str], needed: Collection[str]) -> dict[str, Any]:
    fields = {}
    for name in FIELDS:
        theirs = names.get(name, name)
        if theirs in record:
            fields[name] = record[theirs]
        elif name in needed:
            raise RecordInvalid(f"there is no field {theirs!r}; there are {', '.join(map(repr, record))}")
    return fields


def _metadata(record: Mapping[str, Any], metadata: Any) -> dict[str, Any]:
    """The columns `metadata.…` beside those of the column `metadata`."""
    single = {
        name.removeprefix(METADATA_PREFIX): cell
        for name, cell in record.items()
        if cell and name.startswith(METADATA_PREFIX)
    }
    return {"metadata": {**metadata, **single}} if single and isinstance(metadata, dict) else {}


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise RecordInvalid(f"this is not JSON: {_IN_ITS_ONE_LINE.sub(' at column', str(error))}") from error
    if not isinstance(value, dict):
        raise RecordInvalid("this is not an object")
    return value


def _json_cell(cell: str, column: str) -> Any:
    try:
        return from_json(cell, allow_inf_nan=False)
    except ValueError as error:
        raise RecordInvalid(f"{column}: this is not JSON: {error}") from error


def _check_head(head: Sequence[str]) -> None:
    twice = [name for number, name in enumerate(head) if name in head[:number]]
    if twice:
        raise RecordInvalid(f"the head has {twice[0]!r} more than once")


def _row(head: Sequence[str], row: Sequence[str], line: int) -> Record:
    if len(row) != len(head):
        return Record(line=line, fields={}, fault=f"there are {len(row)} cells, and {len(head)} in the head")
    return Record(line=line, fields=dict(zip(head, row, strict=True)))
