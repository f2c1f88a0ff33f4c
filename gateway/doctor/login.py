"""The login: what else it may do than serve, whether it may act as each role, and whether row-level security holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import uuid4

import psycopg
from psycopg import sql

from gateway.database import DatabaseUnreachable, make_engine
from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Connection, Setup, first_line
from gateway.settings import GatewaySettings

ROLES = ("gateway_rw", "worker_rw", "event_reader")
_LOGIN = (
    "CREATE ROLE gateway LOGIN PASSWORD '…' NOSUPERUSER NOBYPASSRLS; "
    "GRANT gateway_rw, worker_rw, event_reader TO gateway; and name that login in DATABASE_URL"
)

_ATTRIBUTES = """
SELECT rolname AS login, rolsuper AS is_superuser, rolbypassrls AS bypasses,
       (SELECT count(*) FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relowner = r.oid) AS relations,
       (SELECT nspowner = r.oid FROM pg_namespace WHERE nspname = 'gateway') AS owns_schema,
       (SELECT datdba = r.oid FROM pg_database WHERE datname = current_database()) AS owns_database,
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'definer' AND pg_has_role(r.oid, oid, 'MEMBER')) AS is_definer
FROM pg_roles r WHERE rolname = session_user
"""
_DIRECTLY = "name Postgres itself in DATABASE_URL: gateways and workers have pools of their own"
_ACTS_AS = "SELECT current_user AS role, current_schemas(false)::text[] AS path"
_LOOSE_ROLES = "SELECT rolname AS role FROM pg_roles WHERE rolname = ANY(%s) AND (rolsuper OR rolbypassrls)"
#: What a serving role reaches must be kept apart by a policy; what it does not reach has none (docs/security.md).
_UNGUARDED = """
SELECT relname AS name FROM pg_class
WHERE relnamespace = 'gateway'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'alembic_version'
  AND NOT (relrowsecurity AND relforcerowsecurity)
  AND (has_any_column_privilege('gateway_rw', oid, 'SELECT') OR has_any_column_privilege('worker_rw', oid, 'SELECT'))
ORDER BY relname
"""
_READABLE = """
SELECT relname AS name FROM pg_class
WHERE relnamespace = 'gateway'::regnamespace AND relkind IN ('r', 'p') AND has_any_column_privilege(oid, 'SELECT')
ORDER BY relname
"""
_PRESET = "SELECT coalesce(current_setting('app.current_organization', true), '') AS organization"
_ACT_FOR = "SELECT set_config('app.current_organization', %s, true)"


def look_at_login(setup: Setup) -> Iterable[Finding]:
    """Whether the login is one that may do nothing but serve."""
    with setup.plain_connection() as connection:
        login = connection.execute(_ATTRIBUTES).fetchone()
        loose = [row["role"] for row in connection.execute(_LOOSE_ROLES, (list(ROLES),))]
    assert login is not None
    name = login["login"]
    if login["is_superuser"] or login["bypasses"]:
        what = "a superuser" if login["is_superuser"] else "BYPASSRLS"
        yield problem(f"the login {name} is {what}: nothing keeps what holds it from any organization's rows", _LOGIN)
    elif login["relations"] or login["owns_schema"] or login["owns_database"]:
        yield warning(f"the login {name} owns the database or its tables, and may change what protects them", _LOGIN)
    elif login["is_definer"]:
        yield warning(f"the login {name} is a member of definer, which sees every organization's rows", _LOGIN)
    else:
        yield ok(f"the login {name} owns nothing, and no attribute lets it past row-level security")
    for role in loose:
        yield problem(
            f"the role {role} is not bound by row-level security", f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS"
        )


def look_at_roles(setup: Setup) -> Iterable[Finding]:
    """Whether connections act as the roles they ask for, in gateways and in workers."""
    refused = [finding for role in ROLES if (finding := _refusal(setup, role)) is not None]
    # What a pooler does to one role it does to each.
    yield from dict.fromkeys(refused)
    if not refused:
        yield from _as_the_gateway(setup.settings, setup.patience)


def _refusal(setup: Setup, role: str) -> Finding | None:
    try:
        with setup.serving_connection(role) as connection:
            row = connection.execute(_ACTS_AS).fetchone()
    except psycopg.OperationalError as error:
        return _told_by_postgres(role, first_line(error))
    assert row is not None
    if (row["role"], row["path"]) == (role, ["gateway"]):
        return None
    return problem(
        f"connections act as {row['role']} in the schema {', '.join(row['path']) or 'none'}, whatever they ask for: "
        "a pooler is between here and Postgres that drops start-up parameters",
        _DIRECTLY,
    )


def _told_by_postgres(role: str, said: str) -> Finding:
    if "unsupported startup parameter" in said:
        return problem("a pooler is between here and Postgres that refuses start-up parameters", _DIRECTLY)
    if "permission denied" in said:
        return problem(f"the login is no member of {role}", f"GRANT {role} TO the login of DATABASE_URL, as the owner")
    return problem(f"a connection cannot act as {role}: {said}", "run `gateway migrate`, which makes the roles")


def _as_the_gateway(settings: GatewaySettings, patience: float) -> Iterable[Finding]:
    """By the gateway's own driver, which sends other parameters than the workers' does."""

    async def connect() -> None:
        engine = make_engine(settings)
        try:
            async with asyncio.timeout(patience / 2), engine.connect():
                pass
        finally:
            await engine.dispose()

    try:
        asyncio.run(connect())
    except DatabaseUnreachable as error:
        yield problem(f"the gateway would not serve: {first_line(error)}", "see what it says, and `gateway migrate`")
    else:
        yield ok(f"connections act as {', '.join(ROLES)}")


def look_at_row_security(setup: Setup) -> Iterable[Finding]:
    """Try it: nobody sees a row without an organization, nor for one that does not exist."""
    with setup.plain_connection() as connection:
        unguarded = [row["name"] for row in connection.execute(_UNGUARDED)]
    if unguarded:
        yield problem(
            f"row-level security is off, or not forced, on {', '.join(unguarded)}",
            "run `gateway migrate`, which switches it on again, and find out who switched it off",
        )
    for role in ("gateway_rw", "worker_rw"):
        with setup.serving_connection(role) as connection:
            yield from _try(connection, role)


def _try(connection: Connection, role: str) -> Iterable[Finding]:
    preset = connection.execute(_PRESET).fetchone()
    assert preset is not None
    if preset["organization"]:
        yield problem(
            f"new sessions of {role} already act for the organization {preset['organization']}",
            "ALTER DATABASE … RESET app.current_organization, and the same for the login and the role (ALTER ROLE)",
        )
        return
    tables = [row["name"] for row in connection.execute(_READABLE)]
    seen = [name for name in tables if _sees(connection, name, "")]
    if not seen:
        seen = [name for name in tables if _sees(connection, name, str(uuid4()))]
    if seen:
        yield problem(
            f"without its organization, {role} sees rows of {', '.join(seen)}",
            "stop the gateways, and drop the policy that was added, which \\d gateway.TABLE shows in psql",
        )
    else:
        yield ok(f"{role} sees none of {len(tables)} tables' rows unless it acts for their organization")


def _sees(connection: Connection, table: str, organization: str) -> bool:
    with connection.transaction():
        connection.execute(_ACT_FOR, (organization,))
        look = sql.SQL("SELECT EXISTS (SELECT FROM gateway.{}) AS any").format(sql.Identifier(table))
        row = connection.execute(look).fetchone()
    return row is not None and bool(row["any"])
