"""The database itself: reachable, new enough, the primary, its clock, and room for connections."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psycopg

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Connection, Setup, first_line
from workerapp.db.migrations.migrate import MINIMUM_VERSION

_SLOW_MILLISECONDS = 100
_SKEW_WARNING, _SKEW_PROBLEM = 2.0, 30.0
_LOOKS = 10

#: By what Postgres or libpq says.
_MENDS = (
    ("password authentication failed", "correct the user and the password in DATABASE_URL"),
    ("no password supplied", "name the password in DATABASE_URL, or in ~/.pgpass"),
    ("does not exist", "make that role or database (`createuser`, `createdb`), or correct DATABASE_URL"),
    ("pg_hba.conf", "let this machine in: add a line to pg_hba.conf, and reload Postgres"),
    ("too many clients", "raise max_connections, or stop what holds connections: SELECT * FROM pg_stat_activity"),
    ("remaining connection slots", "raise max_connections, or stop what holds connections"),
    ("certificate", "correct sslmode and sslrootcert in DATABASE_URL, or the server's certificate"),
    ("translate host name", "correct the host in DATABASE_URL"),
)
_ELSE = "start Postgres, correct host and port in DATABASE_URL, or open the way to it"

_SERVER = """
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby,
       current_setting('server_encoding') AS encoding,
       current_setting('transaction_read_only')::boolean AS is_read_only
"""
_ROOM = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true), '0')::int AS usable,
       (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL AND pid <> pg_backend_pid()) AS used,
       (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gateway-tail'
           AND datname = current_database()) AS gateways
"""
_WORKERS = """
SELECT count(*) AS workers, coalesce(sum(concurrency), 0) AS children FROM admin_workers(make_interval(secs => %s))
WHERE is_alive
"""
#: Besides its pool: what reads events.
_OF_A_GATEWAY = 1
#: The main process of a worker: sweeper, control, hints, results, leases, queue and relay with what listens for both.
_OF_A_WORKER = 9
#: A process that executes: results, hints, the queue, what a task opens (two), and a lane.
_OF_A_CHILD = 6


def look_at_server(setup: Setup) -> Iterable[Finding]:
    """Whether it answers, how fast, and as what."""
    where = setup.address.redacted()
    try:
        with setup.plain_connection() as connection:
            yield from _server(connection, where)
    except psycopg.OperationalError as error:
        said = first_line(error)
        mend = next((mend for words, mend in _MENDS if words in str(error)), _ELSE)
        yield problem(f"{where} cannot be reached: {said}", mend)


def _server(connection: Connection, where: str) -> Iterable[Finding]:
    server = connection.execute(_SERVER).fetchone()
    assert server is not None
    told = f"Postgres {server['version']} at {where}"
    if connection.info.server_version < MINIMUM_VERSION:
        yield problem(f"{told} is too old", f"upgrade it to Postgres {MINIMUM_VERSION // 10_000} or newer")
    if server["is_standby"]:
        yield problem(f"{told} is a standby, which takes no writes", "name the primary in DATABASE_URL")
    elif server["is_read_only"]:
        yield problem(f"{told} is read-only", "set default_transaction_read_only to off for this login and database")
    if server["encoding"] != "UTF8":
        yield problem(f"{told} stores {server['encoding']}", "make the database anew with ENCODING 'UTF8'")
    milliseconds = min(_duration(connection) for _ in range(_LOOKS)) * 1000
    if milliseconds > _SLOW_MILLISECONDS:
        yield warning(
            f"{told} answers in {milliseconds:.0f} ms",
            "run gateways and workers near the database: every request makes several statements",
        )
    else:
        yield ok(f"{told} answers in {milliseconds:.1f} ms")


def _duration(connection: Connection) -> float:
    began = time.perf_counter()
    connection.execute("SELECT 1")
    return time.perf_counter() - began


def look_at_clock(setup: Setup) -> Iterable[Finding]:
    """How far this machine's clock is from the database's; what the way there takes is not counted."""
    with setup.plain_connection() as connection:
        before = setup.clock()
        row = connection.execute("SELECT clock_timestamp() AS at").fetchone()
        after = setup.clock()
    assert row is not None
    skew = (row["at"] - before - (after - before) / 2).total_seconds()
    if abs(skew) < _SKEW_WARNING:
        yield ok("this machine and the database agree on the time")
        return
    told = f"this machine's clock is {abs(skew):.0f} seconds {'behind' if skew > 0 else 'ahead of'} the database's"
    mend = "let both take their time from NTP (`timedatectl set-ntp true`)"
    yield problem(told, mend) if abs(skew) >= _SKEW_PROBLEM else warning(told, mend)


def look_at_connections(setup: Setup) -> Iterable[Finding]:
    """Whether the server takes as many connections as the gateways and workers that are seen may open."""
    with setup.serving_connection("gateway_rw") as connection:
        workers = connection.execute(_WORKERS, (setup.settings.worker_dead_seconds,)).fetchone()
    with setup.seeing_connection() as connection:
        room = connection.execute(_ROOM).fetchone()
    assert workers is not None
    assert room is not None
    each = setup.settings.pool_size + setup.settings.pool_overflow + _OF_A_GATEWAY
    gateways = max(room["gateways"], 1)
    needed = gateways * each + workers["workers"] * _OF_A_WORKER + workers["children"] * _OF_A_CHILD
    told = (
        f"of {room['usable']} connections {room['used']} are in use; "
        f"{gateways} gateways and {workers['workers']} workers may take {needed}"
    )
    if needed > room["usable"]:
        yield warning(told, "raise max_connections of Postgres, or lower GATEWAY_POOL_SIZE and GATEWAY_POOL_OVERFLOW")
    else:
        yield ok(told)
