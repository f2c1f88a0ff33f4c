"""The file of tests that a suite names: its form goes by the end of its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from gateway.records import JSON_LINES, MAX_RECORD_BYTES, TABLE, Lines, RecordInvalid

#: The line a record ends on, and the fields of its test.
TestRecord: TypeAlias = tuple[int, dict[str, Any]]

_FORMATS = {".jsonl": JSON_LINES, ".csv": TABLE}


class RecordsInvalid(Exception):
    """The file is not what its name says; the message says where."""


def read_records(path: Path, names: Mapping[str, str]) -> Iterator[TestRecord]:
    """Read a file of tests; `names` are its names of their fields, where they differ.

    Raises:
        RecordsInvalid: its form is not known or not kept to.
        OSError: it cannot be read.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise RecordsInvalid(f"{path} must end in .jsonl or .csv")
    with path.open("rb") as file:
        for record in form.read(Lines(file, MAX_RECORD_BYTES)):
            if record.fault is not None:
                raise RecordsInvalid(f"{path}, line {record.line}: {record.fault}")
            try:
                yield record.line, form.fields(record.fields, names)
            except RecordInvalid as error:
                raise RecordsInvalid(f"{path}, line {record.line}: {error}") from error
