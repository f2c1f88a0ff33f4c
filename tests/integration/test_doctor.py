"""What the checks of `gateway doctor` find in databases that are real, and broken in one way each."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from gateway.doctor import transactions
from gateway.doctor.examination import Check
from gateway.doctor.finding import Level, ok
from gateway.doctor.setup import now
from tests.doctor import examined, make_setup
from tests.postgres import PostgresServer, TestDatabase, drop_database, unique_name
from tests.records import add_organization
from tests.stack.pooler import Pooler
from tests.stack.services import free_port

OK, WARNING, PROBLEM, SKIPPED = Level


# ---------------------------------------------------------------- how checks are made
def test_a_check_that_fails_says_so_and_one_that_hangs_is_left(database: TestDatabase) -> None:
    never = threading.Event()

    def fail(_: object) -> list[object]:
        raise ValueError("of no use")

    def hang(_: object) -> list[object]:
        never.wait()
        return []

    checks = (
        Check(name="failing", look=fail),  # type: ignore[arg-type]
        Check(name="hanging", look=hang),  # type: ignore[arg-type]
        Check(name="needing", look=lambda _: [ok("fine")], needs=("failing",)),
        Check(name="other", look=lambda _: [ok("fine")]),
    )
    told = examined(make_setup(database.url, patience=1), checks)
    never.set()
    assert "the check itself failed: ValueError: of no use" in told.found("failing", PROBLEM)
    assert "no answer within 1 seconds" in told.found("hanging", PROBLEM)
    assert "because of: failing" in told.found("needing", SKIPPED)
    assert told.of_level(OK) == {"other"}


# ---------------------------------------------------------------- the database
def test_a_database_that_is_away_is_one_problem() -> None:
    told = examined(make_setup(f"postgresql://gateway:pass-word@127.0.0.1:{free_port()}/gateway"))
    assert "start Postgres" in told.found("database", PROBLEM)
    assert told.of_level(PROBLEM) == {"database"}
    assert {"schema", "roles", "workers"} <= told.of_level(SKIPPED)
    assert "pass-word" not in str(told.lines)


def test_a_database_that_never_answers_holds_up_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://gateway@127.0.0.1:{silent.getsockname()[1]}/gateway"
        told = examined(make_setup(url, patience=4))
    assert told.of_level(PROBLEM) == {"database"}
    assert "broker" in told.of_level(OK), "what does not need the database is looked at"


def test_a_database_without_a_schema_has_to_be_migrated(postgres: PostgresServer) -> None:
    with empty_database(postgres) as url:
        told = examined(make_setup(url))
    assert "has no tables yet\nrun `gateway migrate`" in told.found("schema", PROBLEM)
    assert told.of_level(PROBLEM) == {"schema"}


def test_an_older_schema_has_to_be_migrated(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("UPDATE gateway.alembic_version SET version_num = '0001'")
        admin.execute("DROP FUNCTION gateway.admin_sweeper()")
        admin.execute(
            "CREATE OR REPLACE FUNCTION gateway.has_live_keys() RETURNS boolean LANGUAGE sql AS $$ SELECT false $$"
        )
    told = examined(make_setup(database.url)).found("schema", PROBLEM)
    assert "have revision 0001" in told
    assert "missing: admin_sweeper" in told
    assert "another version: has_live_keys" in told


def test_a_schema_of_a_newer_version_needs_that_version(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("UPDATE gateway.alembic_version SET version_num = '9999'")
    told = examined(make_setup(database.url))
    assert "9999, which this version does not know\ninstall" in told.found("schema", PROBLEM)


@pytest.mark.parametrize(("minutes", "level"), [(1, PROBLEM), (-1, PROBLEM), (0.1, WARNING)])
def test_a_clock_that_is_wrong_is_told(database: TestDatabase, minutes: float, level: Level) -> None:
    told = examined(make_setup(database.url, clock=lambda: now() + timedelta(minutes=minutes)))
    assert ("ahead of" if minutes > 0 else "behind") in told.found("clock", level)


def test_too_few_connections_are_a_warning(database: TestDatabase) -> None:
    told = examined(make_setup(database.url, pool_size=5000))
    assert "raise max_connections" in told.found("connections", WARNING)


def test_a_transaction_that_was_left_open_is_found(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "OLD_SECONDS", 0)
    with psycopg.connect(database.admin_url, application_name="forgotten", options="-c search_path=gateway") as admin:
        add_organization(admin)
        told = examined(make_setup(database.url, owner_url=database.admin_url)).found("transactions", WARNING)
        assert f"pg_terminate_backend({admin.info.backend_pid})" in told
        assert "forgotten of postgres" in told


def test_a_replication_slot_that_nobody_reads_is_found(database: TestDatabase) -> None:
    name = f"gwtest_{uuid4().hex[:12]}"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("SELECT pg_create_physical_replication_slot(%s, true)", (name,))
        try:
            assert f"pg_drop_replication_slot('{name}')" in examined(make_setup(database.url)).found("slots", WARNING)
        finally:
            admin.execute("SELECT pg_drop_replication_slot(%s)", (name,))


# ---------------------------------------------------------------- the login
def test_a_superusers_login_is_a_problem(database: TestDatabase) -> None:
    told = examined(make_setup(database.admin_url))
    assert "is a superuser" in told.found("login", PROBLEM)
    assert "CREATE ROLE gateway LOGIN" in told.found("login", PROBLEM)
    assert told.of_level(PROBLEM) == {"login"}


def test_a_login_that_is_no_member_of_the_roles_is_told_which(postgres: PostgresServer, database: TestDatabase) -> None:
    with login(postgres, "gateway_rw") as name:
        told = examined(make_setup(postgres.as_role(name, database_name(database))))
    refused = told.found("roles", PROBLEM)
    assert "no member of worker_rw\nGRANT worker_rw" in refused
    assert "event_reader" in refused
    assert "gateway_rw" not in refused
    assert {"row security", "workers"} <= told.of_level(SKIPPED)


def test_a_login_that_sees_everything_through_a_role_is_a_warning(
    postgres: PostgresServer, database: TestDatabase
) -> None:
    with login(postgres, "gateway_rw", "worker_rw", "event_reader", "definer") as name:
        told = examined(make_setup(postgres.as_role(name, database_name(database))))
    assert "member of definer" in told.found("login", WARNING)


def test_row_security_that_is_off_or_was_given_away_is_a_problem(database: TestDatabase) -> None:
    with psycopg.connect(database.admin_url, options="-c search_path=gateway") as admin:
        add_organization(admin)
        admin.execute("ALTER TABLE task NO FORCE ROW LEVEL SECURITY")
        admin.execute("CREATE POLICY all_of_it ON organization USING (true)")
    told = examined(make_setup(database.url)).found("row security", PROBLEM)
    assert "not forced, on task" in told
    assert "gateway_rw sees rows of organization" in told


def test_a_tenant_that_every_session_begins_with_is_a_problem(database: TestDatabase) -> None:
    preset = sql.SQL("ALTER DATABASE {} SET app.current_organization = {}")
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(preset.format(sql.Identifier(database_name(database)), sql.Literal(str(uuid4()))))
    told = examined(make_setup(database.url))
    assert "already act for the organization" in told.found("row security", PROBLEM)


# ---------------------------------------------------------------- poolers
def test_a_pooler_that_shares_sessions_is_recognized(database: TestDatabase) -> None:
    with Pooler(database.url) as pooler:
        told = examined(make_setup(pooler.url(database_name(database))))
    assert "pool_mode = transaction" in told.found("sessions", PROBLEM)
    assert "that drops start-up parameters" in told.found("roles", PROBLEM)
    assert "NOTIFY does not arrive" in told.found("hints", PROBLEM)


def test_a_pooler_that_refuses_start_up_parameters_is_recognized(database: TestDatabase) -> None:
    with Pooler(database.url, refuses="options") as pooler:
        told = examined(make_setup(pooler.url(database_name(database))))
    assert "a pooler is between here and Postgres that refuses start-up parameters" in told.found("roles", PROBLEM)
    assert told.of_level(PROBLEM) == {"sessions", "hints", "roles"}


def test_a_pooler_that_keeps_sessions_is_a_warning(database: TestDatabase) -> None:
    with Pooler(database.url, keeps_sessions=True) as pooler:
        told = examined(make_setup(pooler.url(database_name(database))))
    assert "which seems to keep sessions" in told.found("sessions", WARNING)


# ---------------------------------------------------------------- setups
def database_name(database: TestDatabase) -> str:
    with psycopg.connect(database.admin_url) as admin:
        return admin.info.dbname


@contextmanager
def empty_database(server: PostgresServer) -> Iterator[str]:
    name = unique_name()
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield server.as_admin(name)
        finally:
            drop_database(connection, name)


@contextmanager
def login(server: PostgresServer, *roles: str) -> Iterator[str]:
    """A login that is a member of these roles, and nothing else."""
    name = f"gwtest_{uuid4().hex[:12]}"
    with server.connect() as connection:
        make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
        members = sql.SQL(", ").join(map(sql.Identifier, roles))
        connection.execute(make.format(sql.Identifier(name), sql.Literal(server.password), members))
        try:
            yield name
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
