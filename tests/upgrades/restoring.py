"""Restores what was recorded of a release, as if it had been killed a moment ago."""

from __future__ import annotations

from datetime import datetime

import psycopg
from psycopg import sql

from tests.records import connect
from tests.upgrades.recording import APPLICATION, RECEIVER
from tests.upgrades.release import Release

_TIMES = """
SELECT c.relname, array_agg(a.attname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
AND a.atttypid = 'timestamptz'::regtype GROUP BY c.relname
"""


def restore(url: str, release: Release, *, application: str, receiver: str) -> None:
    """Into an empty database of a superuser's; addresses that were recorded become those of today."""
    text = release.dump.read_text(encoding="utf-8").replace(APPLICATION, application).replace(RECEIVER, receiver)
    with psycopg.connect(url) as connection:
        connection.execute(text.encode())
    with connect(url) as admin:
        _make_recent(admin, datetime.fromisoformat(release.recording["at"]))


def _make_recent(admin: psycopg.Connection, recorded_at: datetime) -> None:
    """Move every time: or leases, deadlines and retention would be over by the age of the recording."""
    # No trigger has to say what it thinks of that.
    admin.execute("SET session_replication_role = replica")
    for table, columns in admin.execute(_TIMES).fetchall():
        moved = sql.SQL(", ").join(
            sql.SQL("{0} = {0} + (now() - {1})").format(sql.Identifier(name), recorded_at) for name in columns
        )
        admin.execute(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), moved))
