"""The tables as SQLAlchemy knows them are the tables that the migrations make."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Dialect, MetaData, create_engine
from sqlalchemy.dialects import postgresql

from tests.postgres import TestDatabase
from workerapp.db.address import DatabaseAddress
from workerapp.db.tables import metadata

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


def _described(column: Column[object]) -> tuple[str, str, bool, bool]:
    kind = "XID8" if str(column.type) in ("NULL", "xid8") else column.type.compile(_DIALECT)
    return column.name, kind, bool(column.nullable), column.primary_key
