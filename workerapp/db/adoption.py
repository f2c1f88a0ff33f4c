"""Puts our trigger on the table where a stock Celery app keeps its results, takes it off, and imports what is there.

Whoever owns that table may not be trusted, and this runs as an operator: only an ordinary table of built-in types is
touched, and policies of its owner's are never evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

TRIGGER = "gateway_adopted"
COLUMNS = {"id", "task_id", "status", "result", "date_done", "traceback"}

_TRIGGER_ARGUMENTS = (
    "SELECT tgargs FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = %s AND NOT tgisinternal"
)
_SHAPE = (
    "SELECT c.relkind, has_own_types(c.oid), array_agg(a.attname::text),"
    " bool_or(a.attname = 'result' AND a.atttypid = 'bytea'::regtype)"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE c.oid = to_regclass(%s) GROUP BY c.oid"
)
_CREATE = (
    "CREATE OR REPLACE TRIGGER {trigger} AFTER INSERT OR UPDATE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION record_adopted_change({organization}, {most})"
)
#: The result is left out of what is turned into JSON: it goes as it is.
_IMPORT = (
    "SELECT max(id), count(*), count(*) FILTER (WHERE outcome = 'written') FROM ("
    " SELECT id, import_adopted_state(%(organization)s, %(most)s, task_id, status, result, traceback,"
    " date_done AT TIME ZONE 'UTC', {more}) AS outcome"
    " FROM (SELECT * FROM {table} WHERE id > %(after)s AND status IS NOT NULL ORDER BY id LIMIT %(batch)s) AS rows"
    " OFFSET 0) AS recorded"
)
_MORE = ("name", "worker", "retries", "queue")


class AdoptionRefused(Exception):
    """The table cannot be adopted; the message says why and what would be right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppTable:
    """Where a Celery app keeps its results."""

    schema: str
    name: str

    @property
    def quoted(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """Whose an app's tasks are, and how large a result may be to be copied."""

    table: AppTable
    organization_id: UUID
    result_max_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did; `recorded` leaves out what was known already."""

    rows: int
    recorded: int


def adopt(connection: psycopg.Connection, adoption: Adoption) -> None:
    """Put the trigger on the table, or renew it.

    Raises:
        AdoptionRefused: there is no such table, it is not Celery's, or it is another organization's.
    """
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '10s'")
        _lock(connection, adoption.table)
        owner = adopted_by(connection, adoption.table)
        if owner not in (None, adoption.organization_id):
            raise AdoptionRefused(
                f"{adoption.table} is adopted for another organization ({owner}); end that with --stop first"
            )
        statement = sql.SQL(_CREATE).format(
            trigger=sql.Identifier(TRIGGER),
            table=adoption.table.quoted,
            organization=str(adoption.organization_id),
            most=str(adoption.result_max_bytes),
        )
        connection.execute(statement)


def stop(connection: psycopg.Connection, table: AppTable) -> bool:
    """Take the trigger off; false if there was none."""
    if adopted_by(connection, table) is None:
        return False
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '10s'")
        connection.execute(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(TRIGGER), table.quoted))
    return True


def adopted_by(connection: psycopg.Connection, table: AppTable) -> UUID | None:
    """The organization that has adopted the table."""
    row = connection.execute(_TRIGGER_ARGUMENTS, (table.quoted.as_string(connection), TRIGGER)).fetchone()
    return None if row is None else UUID(bytes(row[0]).split(b"\0")[0].decode())


def import_existing(connection: psycopg.Connection, adoption: Adoption, batch: int) -> Imported:
    """Record the rows that are there, a transaction for each batch."""
    after, rows, recorded = -1, 0, 0
    while True:
        last, found, written = _import_batch(connection, adoption, after, batch)
        rows, recorded = rows + found, recorded + written
        if last is None:
            return Imported(rows=rows, recorded=recorded)
        after = last


def _import_batch(
    connection: psycopg.Connection, adoption: Adoption, after: int, batch: int
) -> tuple[int | None, int, int]:
    values = {
        "organization": adoption.organization_id,
        "most": adoption.result_max_bytes,
        "after": after,
        "batch": batch,
    }
    with connection.transaction():
        # A policy of the table's owner is code of the owner's: rather an error than running it.
        connection.execute("SET LOCAL row_security = off")
        columns = _lock(connection, adoption.table)
        statement = sql.SQL(_IMPORT).format(more=_more(columns), table=adoption.table.quoted)
        row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def _more(columns: set[str]) -> sql.Composable:
    """The columns that Celery's `result_extended` adds, as JSON."""
    pairs = [sql.SQL("{}, {}").format(name, sql.Identifier(name)) for name in _MORE if name in columns]
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs))


def _lock(connection: psycopg.Connection, table: AppTable) -> set[str]:
    """The table's columns, which from here on to the end of the transaction stay as they are."""
    try:
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table.quoted))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise AdoptionRefused(
            f"there is no table {table}; Celery makes it when the app first stores a result, so run one task first,"
            " or name it with --schema and --table"
        ) from error
    row = connection.execute(_SHAPE, (table.quoted.as_string(connection),)).fetchone()
    assert row is not None
    kind, own_types, columns, bytes_result = row
    missing = COLUMNS - set(columns)
    if kind not in ("r", b"r", "p", b"p") or missing or not bytes_result:
        lacking = f" without {', '.join(sorted(missing))}" if missing else ""
        raise AdoptionRefused(f"{table} is not a table as Celery's database backend makes it{lacking}")
    if own_types:
        raise AdoptionRefused(f"{table} has a column of a type that is not built in; such a table is not adopted")
    return set(columns)
