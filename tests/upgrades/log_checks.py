"""Whether all rows are whole when all has ended, by those statements of a fault run that need no load of its own."""

from __future__ import annotations

import psycopg

from tests.faults import checks

_OF_ANY_LOAD = (
    "unsettled_runs",
    "lost_tests",
    "duplicated_results",
    "untold_results",
    "wrong_counters",
    "unfinished_tasks",
    "left_messages",
    "open_chords",
    "broken_logs",
    "unknown_ends",
)


def problems(admin: psycopg.Connection) -> list[str]:
    """A sentence for each thing that is wrong; empty when all is quiet and whole."""
    statements = checks.statements()
    queries = {name: statements[name] for name in _OF_ANY_LOAD}
    found = checks.found_by(admin, queries, chords=[], tasks=[], runs=[])
    return [f"{name}: {text}" for name, texts in found.items() for text in texts]
