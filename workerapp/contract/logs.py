"""Log lines with their fields: one JSON object a line for machines, or `event key=value` for people."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

LogFormat: TypeAlias = Literal["json", "text"]

#: What every record has; whatever else is on it came with `extra` and is a field of the line.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data", "color_message"}

#: What all lines of the context are about, such as a request or a task.
_about: ContextVar[Mapping[str, str]] = ContextVar("log_context")
#: Brings back what lines were about before.
LogToken: TypeAlias = Token[Mapping[str, str]]


def begin_log_context(**fields: str | None) -> LogToken:
    """Let every JSON line of this context tell these fields and no others, also lines that libraries log."""
    return _about.set(_given(fields))


def add_to_log_context(**fields: str | None) -> None:
    """Tell these too, until the context ends."""
    _about.set({**_about.get({}), **_given(fields)})


def end_log_context(token: LogToken) -> None:
    """Tell again what was told before the context began."""
    _about.reset(token)


def _given(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}


def configure_logging(level: str | int, form: LogFormat) -> None:
    """Send all logs to standard error in one form; called once, by the entry of a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields a record was logged with."""
    return {key: value for key, value in vars(record).items() if key not in _OWN and value is not None}


class JsonLines(logging.Formatter):
    """A JSON object a line: time, level, logger, event, what the context is about, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_about.get({}),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """A line for people: time, level, event and its fields; a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_quoted(value)}" for key, value in fields_of(record).items())
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: object) -> str:
    """Text as it is where that is unambiguous, else quoted, so that a value cannot imitate a field or a line."""
    text = str(value)
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text, ensure_ascii=False)
