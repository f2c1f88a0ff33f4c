"""The files that results are exported as, written one result at a time: JSON lines and CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from gateway.api.test_runs import TestResult, TestRun

COLUMNS = (
    *("position", "test_id", "status", "input", "expected", "output", "score", "reason"),
    *("latency_ms", "attempts", "http_status", "error_code", "error_message", "finished_at", "turns", "repeat"),
)

#: What a spreadsheet takes for a formula, unless it is a plain number.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedRun:
    """The run that a file is of, and how much of a text a report quotes."""

    run: TestRun
    #: The configuration's name.
    name: str
    excerpt_length: int


class ExportFormat(Protocol):
    """Writes a file: its beginning, its results in their order, and its end."""

    media_type: ClassVar[str]
    extension: ClassVar[str]

    def head(self) -> str: ...

    def row(self, result: TestResult) -> str: ...

    def tail(self) -> str: ...


class JsonLines:
    """One object a line, with every field as a page of results has it."""

    media_type: ClassVar[str] = "application/jsonl"
    extension: ClassVar[str] = "jsonl"

    def __init__(self, exported: ExportedRun) -> None:
        del exported

    def head(self) -> str:
        return ""

    def row(self, result: TestResult) -> str:
        return result.model_dump_json() + "\n"

    def tail(self) -> str:
        return ""


class Csv:
    """RFC 4180 with a heading; what is no text is JSON, and nothing is a formula."""

    media_type: ClassVar[str] = "text/csv"
    extension: ClassVar[str] = "csv"

    def __init__(self, exported: ExportedRun) -> None:
        del exported

    def head(self) -> str:
        return _line(COLUMNS)

    def row(self, result: TestResult) -> str:
        fields = result.model_dump(mode="json")
        scores, error = fields["scores"] or {}, fields["error"] or {}
        fields |= {
            "input": asked_of(result),
            "turns": transcript_of(result) or None,
            "output": output_of(result),
            "score": scores.get("score"),
            "reason": scores.get("reason"),
            "error_code": error.get("code"),
            "error_message": error.get("message"),
        }
        return _line([_cell(fields[name]) for name in COLUMNS])

    def tail(self) -> str:
        return ""


def asked_of(result: TestResult) -> Any:
    """The input, or those of the turns."""
    return result.input if result.turns is None else [turn["input"] for turn in result.turns]


def transcript_of(result: TestResult) -> list[dict[str, Any]]:
    """What was asked and answered, turn by turn; nothing if the test has no turns, or none was asked."""
    return result.output["turns"] if result.turns is not None and isinstance(result.output, dict) else []


def output_of(result: TestResult) -> Any:
    """What was answered, without what else was mapped out of the response; None if nothing was."""
    return result.output.get("output") if isinstance(result.output, dict) else None


def as_text(value: Any) -> str:
    """A text as it is, nothing as an empty one, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _cell(value: Any) -> str:
    text = as_text(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _line(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
