"""Waiting for what a running system does: bounded, and looking often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

T = TypeVar("T")


def until(look: Callable[[], T | None], seconds: float = 15.0, pause: float = 0.01) -> T:
    """What `look` answers, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} seconds"
        time.sleep(pause)
    return found


def ended_task(admin: psycopg.Connection, task_id: str, seconds: float = 15.0) -> str:
    """The final state of a task, once it has one."""

    def look() -> str | None:
        row = admin.execute("SELECT state FROM task WHERE id = %s", (task_id,)).fetchone()
        return str(row[0]) if row and row[0] in ("SUCCESS", "FAILURE", "REVOKED") else None

    return str(until(look, seconds))


def settled_log(admin: psycopg.Connection) -> None:
    """Return when every snapshot to come sees all events there are, whoever else is at work on the server."""
    look = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > max(xid) FROM task_event"
    until(lambda: admin.execute(look).fetchone() == (True,))
