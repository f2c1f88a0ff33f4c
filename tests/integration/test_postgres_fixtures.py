"""The database fixtures themselves: what the other tests rely on."""

from __future__ import annotations

import time

import psycopg
import pytest
from psycopg import sql

from tests.postgres import PostgresServer, TestDatabase, copied_database, drop_database, migrated_template


def _names(server: PostgresServer) -> set[str]:
    with server.connect() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}


def test_product_logs_in_without_superuser_or_row_security_bypass(database: TestDatabase) -> None:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = session_user"
        ).fetchone()
    assert row == (False, False, False)


@pytest.mark.parametrize("role", ["gateway_rw", "worker_rw", "event_reader"])
def test_product_may_act_as_each_serving_role(database: TestDatabase, role: str) -> None:
    with psycopg.connect(database.url, options=f"-c role={role}") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role,)


def test_database_is_migrated(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as connection:
        assert connection.execute("SELECT to_regclass('gateway.task_event') IS NOT NULL").fetchone() == (True,)


def test_copies_share_nothing_and_are_gone_afterwards(postgres: PostgresServer, template_database: str) -> None:
    with copied_database(postgres, template_database) as first, copied_database(postgres, template_database) as second:
        with psycopg.connect(first.admin_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE gateway.mine ()")
        with psycopg.connect(second.admin_url) as connection:
            assert connection.execute("SELECT to_regclass('gateway.mine')").fetchone() == (None,)
        names = {psycopg.conninfo.conninfo_to_dict(copy.url)["dbname"] for copy in (first, second)}
        assert names < _names(postgres)
    assert not names & _names(postgres)


def test_copy_is_dropped_although_somebody_is_connected(postgres: PostgresServer, template_database: str) -> None:
    with copied_database(postgres, template_database) as copy:
        connection = psycopg.connect(copy.url)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_leftovers_of_crashed_runs_are_dropped_after_an_hour(postgres: PostgresServer) -> None:
    old, recent = f"gwtest_{time.time() - 3700:.0f}_crashed", f"gwtest_{time.time() - 3000:.0f}_running"
    with postgres.connect() as connection:
        for name in (old, recent):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with migrated_template(postgres):
            left = {old, recent} & _names(postgres)
        drop_database(connection, recent)
    assert left == {recent}
