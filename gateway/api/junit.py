"""A run as a JUnit report, as CI systems read it: one suite, one case for each test."""

from __future__ import annotations

import re
from datetime import UTC
from html import escape
from typing import Any, ClassVar

from gateway.api.export_formats import ExportedRun, as_text, asked_of, output_of, transcript_of
from gateway.api.test_runs import TestResult
from workerapp.contract.states import ResultStatus

_NAME_LENGTH = 120
#: Characters that XML 1.0 cannot hold, not even escaped.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = {
    ResultStatus.UNSCORED: "The test has no metric.",
    ResultStatus.CANCELLED: "The test was cancelled.",
    ResultStatus.PENDING: "The test was not executed.",
}


class JUnit:
    """`fail` is a failure, `error` an error, and what has no verdict is skipped."""

    media_type: ClassVar[str] = "application/xml"
    extension: ClassVar[str] = "xml"

    def __init__(self, exported: ExportedRun) -> None:
        self._run = exported.run
        self._name = exported.name
        self._excerpt_length = exported.excerpt_length

    def head(self) -> str:
        run = self._run
        counts = {
            "name": self._name,
            "tests": run.total or 0,
            "failures": run.failed,
            "errors": run.errored,
            "skipped": run.unscored + run.cancelled + run.pending,
            "time": _seconds(run.duration_seconds),
        }
        # The report's schema has no time zone; it is UTC.
        began = (run.started_at or run.created_at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        about = {"test_run_id": run.id, "test_configuration_id": run.test_configuration_id, "status": run.status.value}
        properties = "".join(f"<property{_attributes(name=name, value=value)}/>" for name, value in about.items())
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites{_attributes(**counts)}>\n'
            f"<testsuite{_attributes(**counts, timestamp=began)}>\n<properties>{properties}</properties>\n"
        )

    def row(self, result: TestResult) -> str:
        asked = as_text(asked_of(result))[:_NAME_LENGTH]
        # The first one is named as in a run of each test once, so that its history goes on.
        again = "" if result.repeat == 1 else f" (repeat {result.repeat})"
        case = _attributes(
            classname=self._name,
            name=f"{result.position:05d}{again} {asked}",
            time=_seconds(None if result.latency_ms is None else result.latency_ms / 1000),
        )
        return f"<testcase{case}>{self._outcome(result)}</testcase>\n"

    def tail(self) -> str:
        return "</testsuite>\n</testsuites>\n"

    def _outcome(self, result: TestResult) -> str:
        if result.status is ResultStatus.PASS:
            return ""
        if result.status is ResultStatus.FAIL:
            scores = result.scores or {}
            failed: dict[str, Any] = next((one for one in scores.get("scores", ()) if one["passed"] is False), {})
            return self._element("failure", scores.get("reason"), failed.get("type"), result)
        if result.status is ResultStatus.ERROR:
            error = result.error or {}
            return self._element("error", error.get("message"), error.get("code"), result)
        return f"<skipped{_attributes(message=_SKIPPED[result.status])}/>"

    def _element(self, name: str, message: Any, kind: Any, result: TestResult) -> str:
        what = _attributes(message=as_text(message)[: self._excerpt_length], type=kind or result.status.value)
        lines = _said(result) | {"expected": result.expected, "output": output_of(result)}
        body = "\n".join(f"{label}: {as_text(value)[: self._excerpt_length]}" for label, value in lines.items())
        return f"<{name}{what}>{escape(_printable(body), quote=False)}</{name}>"


def _said(result: TestResult) -> dict[str, Any]:
    """What was asked; of several turns also what was answered before the last output."""
    if result.turns is None:
        return {"input": result.input}
    lines: dict[str, Any] = {}
    for number, turn in enumerate(transcript_of(result), start=1):
        lines |= {f"turn {number}": turn["input"], f"answer {number}": turn["output"]}
    return lines


def _attributes(**values: Any) -> str:
    """Of one line each: a parser reads a line break in an attribute as a space anyway."""
    return "".join(f' {name}="{escape(" ".join(_printable(str(value)).split()))}"' for name, value in values.items())


def _printable(text: str) -> str:
    return _IMPOSSIBLE.sub("", text)


def _seconds(seconds: float | None) -> str:
    return f"{seconds or 0:.3f}"
