"""Real Postgres for the suite: a server, a template migrated once, and a fresh copy of it for every test."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from gateway.embedded.postgres import EmbeddedPostgres
from workerapp.db.migrations.migrate import ROLES, upgrade

DEFAULT_SERVER_URL = "postgresql://postgres@127.0.0.1:5432/postgres"
SERVING_ROLES = ("gateway_rw", "worker_rw", "event_reader")
LOGIN = "gateway_test_login"
OWNER = "gateway_test_owner"
STALE_AFTER_SECONDS = 3600
MEMORY_FOLDER_BYTES = 4 * 1024**3
#: Advisory locks on the maintenance database: one session at a time sets up; the last one to leave drops the roles.
SETUP_LOCK, PRESENCE_LOCK = 7_402_118_555_101, 7_402_118_555_102
_MADE_BY_US = "made by the gateway's test suite"


class ServerKind(StrEnum):
    """Which Postgres the suite runs on, and as whom the schema is made there."""

    EMBEDDED = "embedded"
    SUPERUSER = "server-superuser"
    OWNER = "server-owner"


@dataclass(frozen=True)
class PostgresServer:
    """A running server and how to log in there."""

    kind: ServerKind
    admin_url: str  # a superuser's

    @property
    def password(self) -> str:
        """Of the roles the suite logs in as: every session can tell it, nobody without the superuser's URL can."""
        return hashlib.sha256(self.admin_url.encode()).hexdigest()[:32]

    def as_admin(self, database: str) -> str:
        return make_url(self.admin_url).set(database=database).render_as_string(hide_password=False)

    def as_role(self, role: str, database: str) -> str:
        url = make_url(self.admin_url).set(database=database, username=role, password=self.password)
        return url.render_as_string(hide_password=False)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.admin_url, autocommit=True, connect_timeout=5)


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database of one test's own."""

    __test__: ClassVar[bool] = False

    url: str  # as the product logs in: never a superuser
    admin_url: str  # a superuser's, for looking behind row-level security


def value_of(url: str, query: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def running_server(kind: ServerKind) -> Iterator[PostgresServer]:
    if kind is ServerKind.EMBEDDED:
        # Not below pytest's own folder: that one is closed to the account Postgres runs as for root.
        folder = Path(tempfile.mkdtemp(prefix="gwtest-", dir=_memory_folder()))
        try:
            with EmbeddedPostgres(folder, durable=False) as embedded:
                yield PostgresServer(kind, embedded.address)
        finally:
            shutil.rmtree(folder)
    else:
        yield _machine_server(kind)


def _memory_folder() -> str | None:
    """Files in memory make a test's database in 20 ms instead of 200, where there is room for a suite's worth."""
    folder = "/dev/shm"
    return folder if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > MEMORY_FOLDER_BYTES else None


def _machine_server(kind: ServerKind) -> PostgresServer:
    server = PostgresServer(kind, os.environ.get("GATEWAY_TEST_POSTGRES_URL", DEFAULT_SERVER_URL))
    where = make_url(server.admin_url).render_as_string()
    try:
        with server.connect() as connection:
            row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    except psycopg.OperationalError as error:
        pytest.skip(f"no Postgres answers at {where} (GATEWAY_TEST_POSTGRES_URL): {str(error).splitlines()[0]}")
    if row != (True,):
        pytest.fail(f"the suite makes roles and databases: {where} (GATEWAY_TEST_POSTGRES_URL) must be a superuser")
    return server


@contextmanager
def migrated_template(server: PostgresServer) -> Iterator[str]:
    """The name of a database that every test's own is copied from."""
    name = unique_name()
    with server.connect() as connection:
        connection.execute("SELECT pg_advisory_lock_shared(%s)", (PRESENCE_LOCK,))
        try:
            with _advisory_lock(connection, SETUP_LOCK):
                _drop_stale_databases(connection)
                _make_template(server, connection, name)
            yield name
        finally:
            drop_database(connection, name)
            _leave(server, connection)


@contextmanager
def copied_database(server: PostgresServer, template: str) -> Iterator[TestDatabase]:
    name = unique_name()
    with server.connect() as connection:
        _create_database(server, connection, name, template)
    try:
        yield TestDatabase(url=server.as_role(_login(server), name), admin_url=server.as_admin(name))
    finally:
        with server.connect() as connection:
            drop_database(connection, name)


@contextmanager
def empty_database(server: PostgresServer, template: str) -> Iterator[TestDatabase]:
    """Without a schema; the roles are there while the template is."""
    assert template
    with copied_database(server, "template1") as made:
        yield made


def unique_name() -> str:
    """A database name that tells when it was made, so that a later run can clean up after a crash."""
    return f"gwtest_{time.time():.0f}_{uuid.uuid4().hex[:12]}"


def drop_database(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _login(server: PostgresServer) -> str:
    return OWNER if server.kind is ServerKind.OWNER else LOGIN


def _make_template(server: PostgresServer, connection: psycopg.Connection, name: str) -> None:
    missing = [role for role in (*ROLES, LOGIN, OWNER) if not _role_exists(connection, role)]
    if server.kind is ServerKind.OWNER:
        for role in set(ROLES).intersection(missing):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        _make_login(server, connection, OWNER, ROLES)
    _create_database(server, connection, name, "template1")
    upgrade(server.as_role(OWNER, name) if server.kind is ServerKind.OWNER else server.as_admin(name))
    if server.kind is not ServerKind.OWNER:
        _make_login(server, connection, LOGIN, SERVING_ROLES)
    for role in missing:
        if _role_exists(connection, role):
            connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(role), _MADE_BY_US))


def _make_login(server: PostgresServer, connection: psycopg.Connection, role: str, member_of: tuple[str, ...]) -> None:
    name = sql.Identifier(role)
    if not _role_exists(connection, role):
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    attributes = sql.SQL("LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS PASSWORD {}").format(server.password)
    connection.execute(sql.SQL("ALTER ROLE {} {}").format(name, attributes))
    roles = sql.SQL(", ").join(map(sql.Identifier, member_of))
    connection.execute(sql.SQL("GRANT {} TO {}").format(roles, name))


def _role_exists(connection: psycopg.Connection, role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None


def _create_database(server: PostgresServer, connection: psycopg.Connection, name: str, template: str) -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    if server.kind is ServerKind.OWNER:
        statement += sql.SQL(" OWNER {}").format(sql.Identifier(OWNER))
    connection.execute(statement)


def _drop_stale_databases(connection: psycopg.Connection) -> None:
    for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall():
        made = re.match(r"gwtest_(\d+)_", name)
        if made and time.time() - int(made[1]) > STALE_AFTER_SECONDS:
            drop_database(connection, name)


def _leave(server: PostgresServer, connection: psycopg.Connection) -> None:
    """Drop the roles the suite made, unless another session uses them or somebody's objects depend on them."""
    connection.execute("SELECT pg_advisory_unlock_shared(%s)", (PRESENCE_LOCK,))
    alone = connection.execute("SELECT pg_try_advisory_lock(%s)", (PRESENCE_LOCK,)).fetchone()
    if server.kind is ServerKind.EMBEDDED or alone != (True,):
        return
    made_by_us = "SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = %s"
    for (role,) in connection.execute(made_by_us, (_MADE_BY_US,)).fetchall():
        try:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        except psycopg.errors.DependentObjectsStillExist:
            continue


@contextmanager
def _advisory_lock(connection: psycopg.Connection, key: int) -> Iterator[None]:
    connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (key,))
