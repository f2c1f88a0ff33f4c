"""Transactions that others left open: they hold up vacuum and what streams of organizations remember."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Setup

OLD_SECONDS, VERY_OLD_SECONDS = 60, 600
_SHOWN = 3

#: Who sees another login's session sees its start; who does not, sees only that it is there.
_OPEN = """
SELECT pid, usename AS login, coalesce(nullif(application_name, ''), 'unnamed') AS program,
       extract(epoch FROM now() - xact_start)::float AS age
FROM pg_stat_activity
WHERE backend_xid IS NOT NULL AND xact_start < now() - make_interval(secs => %s) ORDER BY xact_start
"""
_PREPARED = """
SELECT gid, owner, database, extract(epoch FROM now() - prepared)::float AS age FROM pg_prepared_xacts ORDER BY prepared
"""
_SLOTS = """
SELECT slot_name AS name, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) AS kept
FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY slot_name
"""


def look_at_transactions(setup: Setup) -> Iterable[Finding]:
    """Transactions that have written and are open still: cursors name all that began since, and vacuum waits."""
    with setup.seeing_connection() as connection:
        rows = connection.execute(_OPEN, (OLD_SECONDS,)).fetchall()
    for row in rows[:_SHOWN]:
        whose = f"{row['program']} of {row['login']} (pid {row['pid']})"
        told = f"{whose} has had a transaction open for {row['age']:.0f} seconds"
        mend = f"end it where it was begun, or: SELECT pg_terminate_backend({row['pid']})"
        yield problem(told, mend) if row["age"] >= VERY_OLD_SECONDS else warning(told, mend)
    if not rows:
        yield ok(f"no transaction that is seen has been open for {OLD_SECONDS} seconds")


def look_at_prepared(setup: Setup) -> Iterable[Finding]:
    """Transactions that were prepared and neither committed nor rolled back; they outlive their session."""
    with setup.plain_connection() as connection:
        rows = connection.execute(_PREPARED).fetchall()
    old = [row for row in rows if row["age"] >= OLD_SECONDS]
    for row in old[:_SHOWN]:
        told = f"a transaction prepared in {row['database']} has waited for {row['age']:.0f} seconds: {row['gid']}"
        mend = f"as {row['owner']}: COMMIT PREPARED '{row['gid']}', or ROLLBACK PREPARED '{row['gid']}'"
        yield problem(told, mend) if row["age"] >= VERY_OLD_SECONDS else warning(told, mend)
    if not old:
        yield ok("no prepared transaction was forgotten")


def look_at_slots(setup: Setup) -> Iterable[Finding]:
    """Replication slots that nobody reads from keep every write on disk until it is full."""
    with setup.plain_connection() as connection:
        rows = connection.execute(_SLOTS).fetchall()
    for row in rows:
        yield warning(
            f"nobody reads from the replication slot {row['name']}, for which {row['kept']} of log are kept",
            f"start what reads it, or: SELECT pg_drop_replication_slot('{row['name']}')",
        )
    if not rows:
        yield ok("no replication slot is idle")
