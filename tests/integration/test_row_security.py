"""Postgres keeps organizations apart by itself: on every table, for every serving role, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.postgres import SERVING_ROLES, PostgresServer, TestDatabase, copied_database
from tests.records import act_for, add_organization, connect, rows_of
from workerapp.db.tables import metadata

TABLES = sorted(metadata.tables)
#: What else a row must have.
VALUES: dict[str, dict[str, object]] = {
    "audit_event": {"actor": "key", "action": "test_set.create"},
}
UNSET = ("", None)
REFUSALS = (psycopg.errors.InvalidTextRepresentation, psycopg.errors.InsufficientPrivilege)
#: What a serving role may read of every organization: the tail reads each event once for all streams.
READS_ALL = {("event_reader", "task_event")}


@dataclass(frozen=True, kw_only=True)
class Two:
    """Two organizations, each with a row in every table."""

    database: TestDatabase
    mine: UUID
    theirs: UUID
    #: Of the other one, as columns that can be inserted.
    rows: dict[str, dict[str, object]]

    def act(self, role: str, organization_id: str | None) -> psycopg.Connection:
        connection = connect(self.database.url, role)
        connection.autocommit = False
        if organization_id is not None:
            connection.execute("SELECT set_config('app.current_organization', %s, true)", (organization_id,))
        return connection


@pytest.fixture(scope="module")
def two(postgres: PostgresServer, template_database: str) -> Iterator[Two]:
    with copied_database(postgres, template_database) as database, connect(database.admin_url) as admin:
        mine, theirs = add_organization(admin), add_organization(admin)
        # Without foreign keys and triggers a row can be made of its columns alone.
        admin.execute("SET session_replication_role = replica")
        for organization_id in (mine, theirs):
            act_for(admin, organization_id)
            for table in TABLES:
                if table != "organization":
                    _add_row(admin, table, organization_id)
        rows = {table: _row_of(admin, table, theirs) for table in TABLES}
        yield Two(database=database, mine=mine, theirs=theirs, rows=rows)


def column_of(table: str) -> sql.Identifier:
    return sql.Identifier("id" if table == "organization" else "organization_id")


def count(connection: psycopg.Connection, table: str, organization_id: UUID | None = None) -> int:
    """How many rows are seen; -1 where none may be looked at."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    if organization_id is not None:
        statement += sql.SQL(" WHERE {} = {}").format(column_of(table), sql.Literal(str(organization_id)))
    return asked(connection, statement)


def asked(connection: psycopg.Connection, statement: sql.Composed, values: object = None) -> int:
    """The count that is answered, or of the rows that were written; -1 if the role may not."""
    try:
        with connection.transaction():
            cursor = connection.execute(statement, values)  # type: ignore[arg-type]
            row = cursor.fetchone() if cursor.description else None
            return cursor.rowcount if row is None else int(row[0])
    except psycopg.errors.InsufficientPrivilege:
        return -1


@pytest.mark.parametrize("role", SERVING_ROLES)
@pytest.mark.parametrize("table", TABLES)
def test_a_role_sees_the_rows_of_the_organization_it_acts_for(two: Two, table: str, role: str) -> None:
    with two.act(role, str(two.mine)) as connection:
        seen = count(connection, table)
        foreign = count(connection, table, two.theirs)
    if (role, table) in READS_ALL:
        assert (seen, foreign) == (2, 1)
    else:
        assert (seen, foreign) in {(1, 0), (-1, -1)}


@pytest.mark.parametrize("role", SERVING_ROLES)
@pytest.mark.parametrize("organization_id", UNSET)
def test_without_an_organization_no_role_sees_a_row(two: Two, organization_id: str | None, role: str) -> None:
    with two.act(role, organization_id) as connection:
        seen = {table: (count(connection, table), count(connection, table, two.theirs)) for table in TABLES}
    for table, counts in seen.items():
        assert counts in {(0, 0), (-1, -1)} or (role, table) in READS_ALL, table


@pytest.mark.parametrize("role", SERVING_ROLES)
@pytest.mark.parametrize("organization_id", ["nobody", "*", "{mine},{theirs}", "' OR true --", "%"])
def test_with_something_else_in_its_place_every_look_fails(two: Two, organization_id: str, role: str) -> None:
    with two.act(role, organization_id.format(mine=two.mine, theirs=two.theirs)) as connection:
        for table in TABLES:
            if (role, table) in READS_ALL:
                continue
            with pytest.raises(REFUSALS), connection.transaction():
                connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))


@pytest.mark.parametrize("role", SERVING_ROLES)
@pytest.mark.parametrize("table", TABLES)
def test_no_role_writes_a_row_of_another_organization(two: Two, table: str, role: str) -> None:
    name, column = sql.Identifier(table), column_of(table)
    foreign, own = sql.Literal(str(two.theirs)), sql.Literal(str(two.mine))
    row = two.rows[table]
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        name, sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    taken = sql.SQL("UPDATE {} SET {} = {} WHERE {} = {}").format(name, column, own, column, foreign)
    given = sql.SQL("UPDATE {} SET {} = {}").format(name, column, foreign)
    deleted = sql.SQL("DELETE FROM {} WHERE {} = {}").format(name, column, foreign)
    with connect(two.database.admin_url) as admin, two.act(role, str(two.mine)) as connection:
        before = rows_of(admin, two.theirs)
        assert asked(connection, insert, row) == -1
        assert asked(connection, given) == -1
        assert asked(connection, taken) in (0, -1)
        assert asked(connection, deleted) in (0, -1)
        connection.commit()
        assert rows_of(admin, two.theirs) == before


def _add_row(admin: psycopg.Connection, table: str, organization_id: UUID) -> None:
    """A row with a value in each column that must have one."""
    needed = admin.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'gateway' AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL"
        " AND is_identity = 'NO' AND is_generated = 'NEVER'",
        (table,),
    ).fetchall()
    own = {"uuid": organization_id, "text": str(organization_id), "bytea": organization_id.bytes * 2}
    some = own | {"jsonb": Jsonb({}), "integer": 1, "bigint": 1, "timestamp with time zone": "now"}
    values = {name: some[kind] for name, kind in needed} | VALUES.get(table, {})
    if "organization_id" in metadata.tables[table].c:
        values["organization_id"] = organization_id
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
    )
    admin.execute(statement, values)


def _row_of(admin: psycopg.Connection, table: str, organization_id: UUID) -> dict[str, object]:
    needed = admin.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'gateway' AND table_name = %s AND is_identity = 'NO' AND is_generated = 'NEVER'",
        (table,),
    ).fetchall()
    columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name, _ in needed)
    statement = sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(columns, sql.Identifier(table), column_of(table))
    row = admin.execute(statement, (organization_id,)).fetchone()
    assert row is not None, table
    return dict(zip((name for name, _ in needed), row, strict=True))
