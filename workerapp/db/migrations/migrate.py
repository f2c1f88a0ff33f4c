"""Brings a database to the newest schema: roles, tables by revision, then functions, triggers and policies anew.

Tables change by numbered revisions. Functions, triggers, policies and grants are written again at every upgrade from
the files in `sql/`, which are idempotent: reading those files tells what the database does.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from workerapp.db.address import DatabaseAddress

ROLES = ("gateway_rw", "worker_rw", "event_reader", "definer")
#: In this order: grants and policies need everything else to exist, and what is put right needs them.
REPEATABLE = (
    "events.sql",
    "tasks.sql",
    "broker.sql",
    "outbox.sql",
    "runs.sql",
    "comparison.sql",
    "groups.sql",
    "endpoints.sql",
    "webhooks.sql",
    "control.sql",
    "task_types.sql",
    "sweep.sql",
    "adoption.sql",
    "keys.sql",
    "audit.sql",
    "access.sql",
    "restored.sql",
)
MINIMUM_VERSION = 150000
#: Two upgrades at once would trip over each other; the second waits for this lock.
UPGRADE_LOCK = 7_402_118_555_001

_HERE = Path(__file__).parent


class UpgradeRefused(Exception):
    """The database cannot be upgraded; the message says what is missing and how to provide it."""


def upgrade(url: str) -> None:
    """Upgrade the database at `url`, whose user must own it (or be superuser).

    Raises:
        UpgradeRefused: the server is too old, or the user may not make or use the roles.
    """
    engine = create_engine(DatabaseAddress.parse(url).sqlalchemy_url("psycopg"), poolclass=NullPool)
    with engine.connect() as connection, connection.begin():
        driver = _driver_connection(connection)
        _check_server(driver)
        driver.execute("SELECT pg_advisory_xact_lock(%s)", (UPGRADE_LOCK,))
        _make_roles(driver)
        driver.execute("SET LOCAL lock_timeout = '10s'")
        driver.execute("SET LOCAL check_function_bodies = off")
        driver.execute("CREATE SCHEMA IF NOT EXISTS gateway")
        driver.execute("SET LOCAL search_path = gateway")
        _run_revisions(connection)
        for name in REPEATABLE:
            driver.execute((_HERE.parent / "sql" / name).read_bytes())


def _driver_connection(connection: Connection) -> psycopg.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _run_revisions(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_server(driver: psycopg.Connection) -> None:
    if driver.info.server_version < MINIMUM_VERSION:
        raise UpgradeRefused(
            f"Postgres 15 or newer is needed; this server is {driver.info.parameter_status('server_version')}."
        )


def _make_roles(driver: psycopg.Connection) -> None:
    """Make the roles that are missing, and make sure this user may act as each of them."""
    for role in ROLES:
        try:
            with driver.transaction():
                _make_role(driver, role)
        except psycopg.errors.InsufficientPrivilege as error:
            raise UpgradeRefused(_role_help(driver, role)) from error


def _make_role(driver: psycopg.Connection, role: str) -> None:
    name = sql.Identifier(role)
    if driver.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).rowcount == 0:
        # Roles are the whole server's, so an upgrade of another database may make the same one at the same moment.
        with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation), driver.transaction():
            driver.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOBYPASSRLS").format(name))
    member = driver.execute("SELECT pg_has_role(%s, 'MEMBER')", (role,)).fetchone()
    if member is None or not member[0]:
        driver.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))


def _role_help(driver: psycopg.Connection, role: str) -> str:
    user = driver.info.user
    return (
        f"The database user {user!r} may not make or use the role {role!r}. Ask a superuser to run: "
        + " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in ROLES)
        + f' GRANT {", ".join(ROLES)} TO "{user}";'
        + " (leave out CREATE ROLE for those that exist)"
    )
