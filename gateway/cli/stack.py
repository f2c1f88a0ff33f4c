"""Everything on one machine: database, gateway and workers, started in order and stopped in the reverse one."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import psycopg

from gateway.auth.keyring import ROLE, NewKey, create_key, create_organization, revoke_key
from gateway.auth.keys import DEFAULT_SCOPES, Scope
from gateway.cli.failures import CommandFailed
from gateway.cli.keeping import Keeper
from gateway.cli.kept_secret_keys import kept_secret_keys
from gateway.cli.migrate import upgrade_database
from gateway.cli.operator_database import database_url, keyring_at
from gateway.cli.own_address import LOOPBACK, add_host_argument, own_url
from gateway.cli.own_postgres import Database, own_postgres
from gateway.cli.processes import Program, Supervisor
from gateway.cli.serve import DEFAULT_PORT
from gateway.cli.stop_signals import StopSignals
from gateway.embedded.postgres import default_data_dir
from gateway.settings import SettingsInvalid, load_gateway_settings
from gateway.stream.server import PortUnavailable, listen
from gateway.stream.settings import StreamSettings
from workerapp.db.address import DatabaseAddress
from workerapp.settings import load_worker_settings

_START_SECONDS = 60.0
_DRAIN_SECONDS = "1"
_LAPTOP_CONCURRENCY = 4
#: Of the key that is printed: whoever starts all of it is its operator, too, and `gateway listen` registers with it.
_SCOPES = (*DEFAULT_SCOPES, Scope.WEBHOOKS_MANAGE, Scope.ADMIN)
_REVOKE_LEFT_OVER = "UPDATE api_key SET revoked_at = now() WHERE name = %s AND revoked_at IS NULL"
_IS_CONSUMING = "SELECT count(*) FROM broker_binding WHERE queue = ANY(%s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class StackOptions:
    """What is to be started, and where."""

    purpose: str
    organization: str
    database_url: str | None
    data_dir: Path
    host: str
    port: int | None
    workers: int
    concurrency: int | None
    #: Where the processes log; None means to stderr.
    log_dir: Path | None = None
    #: How long stopping in good order may take.
    stop_seconds: float = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """What is running, ready to be used."""

    url: str
    api_key: str
    organization_id: UUID
    supervisor: Supervisor
    #: What the processes found in theirs.
    environment: Mapping[str, str]
    log_dir: Path | None


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that every command that starts everything has."""
    parser.add_argument("--data-dir", type=Path, metavar="PATH", help="where Postgres keeps its data")
    add_host_argument(parser)
    parser.add_argument(
        "--port",
        type=int,
        help=f"the port to listen on, 0 for a free one (default: {DEFAULT_PORT}, or a free one if that is in use)",
    )
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument(
        "--concurrency",
        type=positive,
        metavar="N",
        help=f"tasks at once in each worker (default: CELERY_WORKER_CONCURRENCY, else {_LAPTOP_CONCURRENCY})",
    )


def positive(text: str) -> int:
    """A number of which there must be one at least."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


@contextmanager
def running_stack(options: StackOptions, signals: StopSignals) -> Iterator[Stack]:
    """Start everything, wait until it can be used, and stop it at the end of the block."""
    with ExitStack() as exits:
        listener = exits.enter_context(closing(_listener(options)))
        keeper = exits.enter_context(Keeper(options.stop_seconds))
        database = exits.enter_context(_database(options, keeper))
        environment = _environment(options, database)
        key = exits.enter_context(_key(options, database))
        supervisor = exits.enter_context(Supervisor(signals, keeper, stop_seconds=options.stop_seconds))
        if database.pid is not None:
            supervisor.need("Postgres", database.pid)
        nodes = [f"up-{os.getpid()}-{number}@{socket.gethostname()}" for number in range(1, options.workers + 1)]
        supervisor.start(_server(options, environment, listener))
        for number, node in enumerate(nodes, start=1):
            supervisor.start(_worker(options, environment, node, number))
        url = own_url(options.host, listener)
        _await_ready(supervisor, url, database, nodes)
        yield Stack(
            url=url,
            api_key=key.secret,
            organization_id=key.organization_id,
            supervisor=supervisor,
            environment=environment,
            log_dir=options.log_dir,
        )


def _listener(options: StackOptions) -> socket.socket:
    try:
        return listen(options.host, DEFAULT_PORT if options.port is None else options.port)
    except (PortUnavailable, OverflowError) as error:
        if options.port is not None:
            raise CommandFailed(str(error)) from error
    try:
        return listen(options.host, 0)
    except PortUnavailable as error:
        raise CommandFailed(str(error)) from error


@contextmanager
def _database(options: StackOptions, keeper: Keeper) -> Iterator[Database]:
    if options.database_url is None:
        with own_postgres(options.data_dir, keeper) as database:
            yield database
    else:
        url = database_url(options.database_url)
        upgrade_database(url)
        yield Database(serving_url=url, admin_url=url)


def _environment(options: StackOptions, database: Database) -> Mapping[str, str]:
    """What the processes find in their environment; what is set there or in `.env` stays."""
    place = dict.fromkeys(("DATABASE_URL", "BROKER_URL", "CELERY_RESULT_BACKEND"), database.serving_url)
    try:
        settings = load_gateway_settings(**place)
        load_worker_settings(**place)
    except SettingsInvalid as error:
        raise CommandFailed(str(error)) from error
    ours = {"PYTHONUNBUFFERED": "1"}
    if not settings.outbound_allow:
        ours["GATEWAY_OUTBOUND_ALLOW"] = LOOPBACK
    if settings.stream.drain_timeout == StreamSettings().drain_timeout:
        # No other gateway takes over meanwhile, and whoever has a page open does not want to wait for the end.
        ours["GATEWAY_STREAM__DRAIN_TIMEOUT"] = _DRAIN_SECONDS
    if not settings.secret_keys:
        folder = options.data_dir if options.database_url is None else default_data_dir().parent
        ours["GATEWAY_SECRET_KEYS"] = kept_secret_keys(folder)
    return {**os.environ, **place, **ours}


@contextmanager
def _key(options: StackOptions, database: Database) -> Iterator[NewKey]:
    """A key that is good until we stop: a secret cannot be shown again at the next start."""
    name = f"gateway {options.purpose}"
    with keyring_at(database.admin_url) as connection:
        if database.pid is not None:  # nobody else uses our own database, so these are of a process that was killed
            connection.execute(_REVOKE_LEFT_OVER, (name,))
        key = create_key(connection, create_organization(connection, options.organization), name, _SCOPES)
    try:
        yield key
    finally:
        with suppress(CommandFailed), keyring_at(database.admin_url) as connection:
            revoke_key(connection, key.id)


def _server(options: StackOptions, environment: Mapping[str, str], listener: socket.socket) -> Program:
    command = [sys.executable, "-m", "gateway.cli.main", "serve", "--fd", str(listener.fileno())]
    return Program(
        name="gateway",
        command=command,
        # Celery itself looks at this variable, also in an app that only makes messages.
        environment={**environment, "CELERY_RESULT_BACKEND": ""},
        log=_log(options, "gateway.log"),
        inherits=(listener.fileno(),),
    )


def _worker(options: StackOptions, environment: Mapping[str, str], node: str, number: int) -> Program:
    concurrency = options.concurrency or environment.get("CELERY_WORKER_CONCURRENCY") or _LAPTOP_CONCURRENCY
    level = environment.get("CELERY_WORKER_LOGLEVEL") or "INFO"
    command = [sys.executable, "-m", "celery", "-A", "workerapp", "worker", "--hostname", node]
    return Program(
        name=f"worker {number}",
        command=[*command, "--concurrency", str(concurrency), "--loglevel", level],
        environment=environment,
        log=_log(options, f"worker-{number}.log"),
        # Warm first: what runs is finished. Then cold: what runs is given back to the queue.
        stop_signals=(signal.SIGTERM, signal.SIGQUIT),
    )


def _log(options: StackOptions, name: str) -> Path | None:
    if options.log_dir is None:
        return None
    log = options.log_dir / name
    if log.exists():
        log.replace(log.with_name(f"{name}.1"))
    return log


def _await_ready(supervisor: Supervisor, url: str, database: Database, nodes: list[str]) -> None:
    conninfo = DatabaseAddress.parse(database.admin_url).conninfo(role=ROLE)
    with psycopg.connect(conninfo, autocommit=True) as connection, httpx.Client(trust_env=False) as http:

        def is_ready() -> bool:
            row = connection.execute(_IS_CONSUMING, ([f"{node}.celery.pidbox" for node in nodes],)).fetchone()
            if row is None or row[0] < len(nodes):
                return False
            try:
                return http.get(f"{url}/readyz", timeout=5).is_success
            except httpx.TransportError:
                return False

        if not supervisor.wait(is_ready, _START_SECONDS):
            raise CommandFailed(f"the gateway and its worker were not ready after {_START_SECONDS:g} seconds")
