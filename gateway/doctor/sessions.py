"""Whether a connection is a session of Postgres itself, which keeps its state and its ears between transactions."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

import psycopg
from psycopg import sql

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Connection, Setup

_DIRECTLY = "name Postgres itself in DATABASE_URL: gateways and workers have pools of their own"
_PID = "SELECT pg_backend_pid() AS pid"
_REMEMBER = "SELECT set_config('gateway.doctor', %s, false)"
_RECALL = "SELECT current_setting('gateway.doctor', true) AS mark, pg_backend_pid() AS pid"
_ACT_FOR = "SELECT set_config('app.current_organization', %s, true)"
_ACTING_FOR = "SELECT coalesce(current_setting('app.current_organization', true), '') AS organization"
_HEARD_WITHIN = 3.0


def look_at_pooler(setup: Setup) -> Iterable[Finding]:
    """Recognize a pooler, and tell one that gives each transaction another session.

    Two connections are needed: a pooler that has one client only would give it the same session each time.
    """
    with setup.plain_connection() as ours, setup.plain_connection() as other:
        mark = uuid4().hex
        ours.execute(_REMEMBER, (mark,))
        first = _one(ours, _PID)
        try:
            with other.transaction():
                other.execute("SELECT 1")  # holds a session, which may be the one that ours had
                then = _one(ours, _RECALL)
        except psycopg.errors.ProtocolViolation as error:
            yield problem(f"a pooler is between here and Postgres that takes no transactions: {error}", _DIRECTLY)
            return
        told = ours.info.backend_pid
    if then["mark"] != mark or then["pid"] != first["pid"]:
        yield problem(
            "a pooler is between here and Postgres that gives each transaction another session (PgBouncer: "
            "pool_mode = transaction): start-up parameters, LISTEN, advisory locks and prepared statements get lost",
            _DIRECTLY,
        )
    elif told != first["pid"]:
        yield warning(
            "a pooler is between here and Postgres, which seems to keep sessions",
            f"{_DIRECTLY}; see what is said of roles, for start-up parameters may be lost",
        )
    else:
        yield ok("connections are sessions of Postgres itself")


def look_at_tenant(setup: Setup) -> Iterable[Finding]:
    """Whether the tenant of a transaction holds to its end, and not beyond."""
    with setup.serving_connection("gateway_rw") as connection:
        organization = str(uuid4())
        with connection.transaction():
            connection.execute(_ACT_FOR, (organization,))
            during = _one(connection, _ACTING_FOR)["organization"]
        after = _one(connection, _ACTING_FOR)["organization"]
    if during != organization:
        yield problem(
            "the parameter app.current_organization does not hold to the end of a transaction, so no row is ever seen",
            f"{_DIRECTLY}; a pooler with pool_mode = statement cannot be used",
        )
    elif after:
        yield problem(
            "the parameter app.current_organization outlives its transaction, so the next one could act for a stranger",
            _DIRECTLY,
        )
    else:
        yield ok("app.current_organization holds for one transaction, and no longer")


def look_at_hints(setup: Setup) -> Iterable[Finding]:
    """Whether who LISTENs hears a NOTIFY; without it events and tasks come at the polls only."""
    channel = f"gateway_doctor_{uuid4().hex[:12]}"
    with setup.plain_connection() as ear, setup.plain_connection() as mouth:
        ear.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        mouth.execute("SELECT pg_notify(%s, '')", (channel,))
        heard = any(True for _ in ear.notifies(timeout=min(_HEARD_WITHIN, setup.patience / 2), stop_after=1))
    if heard:
        yield ok("NOTIFY arrives")
    else:
        yield problem(
            "NOTIFY does not arrive at who LISTENs: tasks and events wait for the next poll, up to a second", _DIRECTLY
        )


def _one(connection: Connection, statement: str) -> dict[str, object]:
    row = connection.execute(statement.encode()).fetchone()
    if row is None:
        raise psycopg.DataError("a statement that answers one row answered none")
    return row
