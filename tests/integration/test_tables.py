"""The tables as SQLAlchemy knows them are the tables that the migrations make."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Dialect, MetaData, create_engine
from sqlalchemy.dialects import postgresql

from tests.postgres import PostgresServer, ServerKind, TestDatabase
from tests.records import add_organization, add_task, connect
from workerapp.db.address import DatabaseAddress
from workerapp.db.migrations import versions
from workerapp.db.migrations.migrate import upgrade
from workerapp.db.tables import metadata

LOST_TASKS = Path(versions.__file__).with_name("0002_lost_tasks.sql")
#: Reached through SQL functions only.
BEHIND_FUNCTIONS = {
    "alembic_version",
    "broker_binding",
    "broker_message",
    "chord",
    "chord_part",
    "event_log",
    "stream_token_key",
    "sweep_step",
    "task_type",
    "worker_heartbeat",
}

_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
def test_the_tables_are_those_of_the_migrations(database: TestDatabase) -> None:
    made = MetaData()
    engine = create_engine(DatabaseAddress.parse(database.admin_url).sqlalchemy_url("psycopg"))
    made.reflect(engine, schema="gateway", resolve_fks=False)
    engine.dispose()
    columns = {table.name: [_described(column) for column in table.columns] for table in made.tables.values()}
    for name in BEHIND_FUNCTIONS:
        del columns[name]
    assert {
        name: [_described(column) for column in table.columns] for name, table in metadata.tables.items()
    } == columns


def test_tasks_that_wait_while_the_schema_is_upgraded_count_as_enqueued(
    postgres: PostgresServer, database: TestDatabase
) -> None:
    owner = database.url if postgres.kind is ServerKind.OWNER else database.admin_url
    with connect(database.admin_url) as admin:
        organization_id = add_organization(admin)
        waiting, ended = (add_task(admin, organization_id) for _ in range(2))
        admin.execute(
            "INSERT INTO broker_message (queue, organization_id, rank, visible_at, task_id, message)"
            " VALUES ('celery', %s, 9, now(), %s, '{}')",
            (organization_id, waiting),
        )
        admin.execute("ALTER TABLE task DROP COLUMN enqueued, DROP COLUMN missed_at")
        with connect(owner) as owning:
            owning.execute(LOST_TASKS.read_bytes())
        upgrade(owner)
        assert dict(admin.execute("SELECT id, enqueued FROM task").fetchall()) == {waiting: True, ended: False}
        forced = "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'task'::regclass"
        assert admin.execute(forced).fetchone() == (True,)


def _described(column: Column[object]) -> tuple[str, str, bool, bool]:
    kind = "XID8" if str(column.type) in ("NULL", "xid8") else column.type.compile(_DIALECT)
    return column.name, kind, bool(column.nullable), column.primary_key
