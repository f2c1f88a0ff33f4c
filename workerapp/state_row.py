"""One state of a task as the database takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

#: What JSON can say and Postgres cannot hold: NUL and halves of surrogate pairs. Group 1 looks alike and is fine.
UNSTORABLE = re.compile(r"(\\\\|\\ud[89ab]..\\ud[c-f]..)|\\u0000|\\ud[89a-f]..", re.IGNORECASE)
REPLACEMENT = "\ufffd"


@dataclass(frozen=True, kw_only=True, slots=True)
class StateRow:
    """The arguments of `record_task_state`, in its order."""

    task_id: str
    organization_id: str | None
    state: str
    result: str | None
    error: str | None
    progress: str | None
    traceback: str | None
    name: str | None
    worker: str | None
    retries: int | None
    queue: str | None
    root_id: str | None
    parent_id: str | None
    group_id: str | None
    children: str | None
    #: Write the state only if the task has a row.
    existing: bool

    def parameters(self) -> tuple[Any, ...]:
        """The values."""
        return tuple(_values(self))


_values = attrgetter(*(field.name for field in fields(StateRow)))


def call(function: str, more: int = 0) -> str:
    """The statement that calls a function with a row, and so many arguments more."""
    return f"SELECT {function}({', '.join(['%s'] * (len(fields(StateRow)) + more))})"


def storable_error(encoded: str) -> str:
    """An error's JSON without what Postgres cannot hold: that a task failed must never fail to be told."""
    return UNSTORABLE.sub(lambda found: found[1] or r"\ufffd", encoded)


def storable_text(text: str, limit: int) -> str:
    """A traceback that Postgres can hold, its end if it is too long: that is where the error is."""
    return text[-limit:].replace("\0", REPLACEMENT).encode("utf-8", "replace").decode("utf-8")
