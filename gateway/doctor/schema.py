"""The schema: at the newest revision, with the functions of this version, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory

import workerapp.db
from gateway.doctor.finding import Finding, ok, problem, skipped
from gateway.doctor.setup import Connection, Setup
from workerapp.db.migrations.migrate import REPEATABLE

_FOLDER = Path(workerapp.db.__path__[0])
_FUNCTION = re.compile(r"^CREATE OR REPLACE FUNCTION (\w+)\(.*?\bAS \$(\w*)\$(.*?)\$\2\$", re.DOTALL | re.MULTILINE)
_STORED = "SELECT proname AS name, prosrc AS body FROM pg_proc WHERE pronamespace = 'gateway'::regnamespace"
_MIGRATE = "run `gateway migrate` with the login that owns the database"
_SHOWN = 5


def look_at_schema(setup: Setup) -> Iterable[Finding]:
    """Compare what is there with what this version makes; looking needs no right on anything."""
    with setup.plain_connection() as connection:
        row = connection.execute("SELECT to_regnamespace('gateway') IS NULL AS is_empty").fetchone()
        assert row is not None
        if row["is_empty"]:
            yield problem(f"{setup.address.redacted()} has no tables yet", _MIGRATE)
            return
        yield from _revision(connection)
        yield from _functions(connection)


def _revision(connection: Connection) -> Iterable[Finding]:
    scripts = _scripts()
    newest = scripts.get_current_head()
    try:
        with connection.transaction():
            # The login itself may have been given nothing, and what is between may drop the role it asks for.
            connection.execute("SET LOCAL ROLE gateway_rw")
            row = connection.execute("SELECT gateway.schema_revision() AS revision").fetchone()
    except psycopg.errors.UndefinedFunction:
        yield problem(f"the schema is older than this version, which needs revision {newest}", _MIGRATE)
        return
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue):
        yield skipped("the login may not see which revision the tables have", "see what is said of roles")
        return
    assert row is not None
    if row["revision"] == newest:
        yield ok(f"the tables have the newest revision, {newest}")
    elif row["revision"] in {script.revision for script in scripts.walk_revisions()}:
        yield problem(f"the tables have revision {row['revision']}, and this version needs {newest}", _MIGRATE)
    else:
        yield problem(
            f"the tables have revision {row['revision']}, which this version does not know",
            "install the version that migrated this database, here and wherever gateways and workers run",
        )


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER / "migrations"))
    return ScriptDirectory.from_config(config)


def _functions(connection: Connection) -> Iterable[Finding]:
    stored = {(row["name"], row["body"]) for row in connection.execute(_STORED)}
    names = {name for name, _ in stored}
    wanted = _wanted_functions()
    missing = sorted({name for name, _ in wanted} - names)
    other = sorted({name for name, _ in wanted - stored} - set(missing))
    if missing:
        yield problem(f"functions are missing: {_list(missing)}", _MIGRATE)
    if other:
        yield problem(f"functions are of another version: {_list(other)}", _MIGRATE)
    if not missing and not other:
        yield ok(f"the {len(wanted)} functions are those of this version")


def _wanted_functions() -> set[tuple[str, str]]:
    """The name and the body of each function that an upgrade writes."""
    files = [(_FOLDER / "sql" / name).read_text() for name in REPEATABLE]
    return {(name, body) for text in files for name, _, body in _FUNCTION.findall(text)}


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
