"""Whether all is quiet after the faults, and what is wrong then: every statement of checks.sql finds nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.load import ERRORED, FAILED, TESTS, Ledger
from tests.faults.stack import Stack
from tests.stack.process import Process, ProcessFailed
from workerapp.contract.events import TERMINAL_TYPES

QUIET = """
SELECT NOT EXISTS (SELECT FROM test_run WHERE finished_at IS NULL)
   AND NOT EXISTS (SELECT FROM task WHERE finished_at IS NULL)
   AND NOT EXISTS (SELECT FROM broker_message WHERE task_id IS NOT NULL)
"""
SHOWN_OF_A_KIND = 5
CHECKS = Path(__file__).with_name("checks.sql")


def statements(path: Path = CHECKS) -> Mapping[str, str]:
    text = path.read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\s*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def wait_until_quiet(stack: Stack, ledger: Ledger, seconds: float) -> float | None:
    """How long it took until nothing was open and every watcher had seen its end; nothing if it took too long."""
    began = time.monotonic()
    with stack.connect() as admin:
        while time.monotonic() - began < seconds:
            row = admin.execute(QUIET).fetchone()
            if row == (True,) and not any(watcher.is_alive() for watcher in ledger.watchers):
                return time.monotonic() - began
            time.sleep(0.1)
    return None


def problems(stack: Stack, ledger: Ledger) -> dict[str, list[str]]:
    """By name of the check, what it found; nothing for one that found nothing."""
    with stack.connect() as admin:
        found = found_in_rows(admin, ledger) | {"watchers": _of_watchers(admin, ledger)}
    found["processes"] = [f"{process.name} ended by itself" for process in stack.processes if has_ended(process)]
    return {name: texts for name, texts in found.items() if texts}


def found_in_rows(admin: psycopg.Connection, ledger: Ledger) -> dict[str, list[str]]:
    return found_by(admin, statements(), chords=ledger.chords, tasks=ledger.tasks + ledger.chords, runs=ledger.runs)


def found_by(
    admin: psycopg.Connection,
    queries: Mapping[str, str],
    *,
    chords: Sequence[str],
    tasks: Sequence[str],
    runs: Sequence[str],
) -> dict[str, list[str]]:
    """What statements find, given what callers know of."""
    parameters = {
        "passed": TESTS - ERRORED - FAILED,
        "failed": FAILED,
        "errored": ERRORED,
        "terminal": [str(kind) for kind in TERMINAL_TYPES],
        "chords": list(chords),
        "tasks": list(tasks),
        "runs": list(runs),
    }
    return {name: _texts(admin, query, parameters) for name, query in queries.items()}


def has_ended(process: Process) -> bool:
    try:
        process.assert_running()
    except ProcessFailed:
        return True
    return False


def _texts(admin: psycopg.Connection, query: str, parameters: dict[str, Any]) -> list[str]:
    return [str(row[0]) for row in admin.execute(query.encode(), parameters).fetchall()]


def _of_watchers(admin: psycopg.Connection, ledger: Ledger) -> list[str]:
    last = {str(row[0]): int(row[1]) for row in admin.execute("SELECT id, seq FROM test_run").fetchall()}
    return [text for watcher in ledger.watchers for text in watcher.problems(last.get(watcher.run_id, 0))]


def count(admin: psycopg.Connection, query: str) -> int:
    row = admin.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
