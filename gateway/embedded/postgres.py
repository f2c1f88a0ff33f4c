"""Postgres from a wheel, for laptops and tests: started on a data folder of its own, reached over a Unix socket."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg

from gateway.embedded.account import EmbeddedPostgresError, serving_account
from gateway.embedded.binaries import reachable_binaries
from gateway.embedded.folders import (
    SYSTEM_FOLDER,
    release_socket_dir,
    take_data_folder,
    take_lock,
    take_socket_dir,
)
from gateway.embedded.server import Server

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "default_data_dir"]

_DATABASE = "gateway"
_PORT = 5432  # only names the socket file; said openly everywhere, because PGPORT would change the default
_MAJOR_VERSION = "18"
_LOG_LINES_IN_ERRORS = 12
#: The kernel takes 107 bytes on Linux and 103 on macOS; drivers and Postgres itself split at commas and colons.
_SOCKET_FITS = re.compile(r"/[A-Za-z0-9_./-]{1,102}")

logger = logging.getLogger(__name__)


def default_data_dir() -> Path:
    """Where the data lives when nobody says: the user's data folder, or as root one that is never in a closed home."""
    if os.geteuid() == 0:
        return SYSTEM_FOLDER / "postgres"
    chosen = Path(os.environ.get("XDG_DATA_HOME", ""))
    data_home = chosen if chosen.is_absolute() else Path.home() / ".local" / "share"
    return data_home / "task-status-gateway" / "postgres"


class EmbeddedPostgres:
    """One Postgres on one data folder, held by one process at a time.

    The folder holds `cluster` (Postgres' own), `postgres.log` of this start, `postgres.log.1` of the one before, and
    `lock`. Whoever reaches the socket is trusted as any database role. Its folder has mode 0700 and belongs to the
    account Postgres runs as, so that is: this account's processes and root. No network address is listened on.
    """

    def __init__(
        self,
        data_dir: Path | str | None = None,
        *,
        durable: bool = True,
        max_connections: int = 200,
        shared_buffers: str = "128MB",
        start_timeout: float = 60,
        stop_timeout: float = 30,
    ) -> None:
        self.data_dir = Path(data_dir or default_data_dir()).expanduser().resolve()
        self._cluster = self.data_dir / "cluster"
        self._log = self.data_dir / "postgres.log"
        self._socket_dir = _socket_dir(self._cluster)
        self._settings = {"max_connections": str(max_connections), "shared_buffers": shared_buffers}
        self._durable = durable
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._server: Server
        self._lock: int | None = None
        self._child: subprocess.Popen[Any] | None = None

    @property
    def address(self) -> str:
        """The database's URL, as psycopg, asyncpg and SQLAlchemy take it."""
        return self._address(_DATABASE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, or adopt the one a killed process left behind, and return the database's URL."""
        if self._lock is not None:
            return self.address
        try:
            self._start()
        except (OSError, subprocess.SubprocessError, psycopg.Error) as error:
            self.stop()
            raise EmbeddedPostgresError(f"Postgres cannot be started in {self.data_dir}: {error}") from error
        except BaseException:
            self.stop()
            raise
        logger.info("embedded_postgres_started", extra={"data_dir": str(self.data_dir)})
        return self.address

    def stop(self) -> None:
        """Stop the server if this object holds it: in good order, then at once."""
        if self._lock is None:
            return
        try:
            self._server.stop(self._stop_timeout)
            self._reap()
            if self._socket_dir != self._cluster:
                release_socket_dir(self._socket_dir, self._server.account)
        finally:
            os.close(self._lock)
            self._lock = None
        logger.info("embedded_postgres_stopped", extra={"data_dir": str(self.data_dir)})

    def _start(self) -> None:
        account = serving_account()
        self._server = Server(cluster=self._cluster, binaries=reachable_binaries(account), account=account)
        take_data_folder(self.data_dir, account)
        self._lock = take_lock(self.data_dir)
        if not self._cluster.exists():
            self._make_cluster()
        self._refuse_other_version()
        self._adopt_or_spawn()
        self._await_ready()
        self._make_database()

    def _make_cluster(self) -> None:
        scratch = self.data_dir / "cluster.new"
        shutil.rmtree(scratch, ignore_errors=True)  # of an initdb that was killed
        scratch.mkdir(0o700)
        self._server.account.take(scratch)
        options = ["--username=postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        options += [] if self._durable else ["--no-sync"]
        initdb = self._server.binaries / "initdb"
        made = self._server.account.run(initdb, *options, "-D", scratch, timeout=self._start_timeout)
        if made.returncode != 0:
            raise EmbeddedPostgresError(
                f"Postgres could not prepare the data folder {self.data_dir}: {_last_lines(made.stdout + made.stderr)}"
            )
        scratch.rename(self._cluster)

    def _refuse_other_version(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != _MAJOR_VERSION:
            raise EmbeddedPostgresError(
                f"The data folder {self.data_dir} was made by Postgres {found}, and this one is {_MAJOR_VERSION}. "
                "Choose another data folder, or move the data with pg_dump."
            )

    def _adopt_or_spawn(self) -> None:
        if self._socket_dir != self._cluster:
            take_socket_dir(self._socket_dir, self._server.account)
        if self._server.is_running() and not (self._socket_dir / f".s.PGSQL.{_PORT}").exists():
            self._server.stop(self._stop_timeout)  # it lost its socket, so nobody can reach it
        if not self._server.is_running():
            self._spawn()

    def _spawn(self) -> None:
        if self._log.exists():
            self._log.replace(self._log.with_name("postgres.log.1"))
        command = [str(self._server.binaries / "postgres"), "-D", str(self._cluster), *self._server_options()]
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
                command, stdout=log, stderr=log, **self._server.account.process_options()
            )
        finally:
            os.close(log)

    def _server_options(self) -> list[str]:
        settings = self._settings | {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self._durable:  # a crash of the machine may lose the data; only tests want that
            settings |= {"fsync": "off", "full_page_writes": "off"}
        return [f"--{name}={value}" for name, value in settings.items()]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout
        while not self._server.is_ready():
            if self._has_ended():
                raise EmbeddedPostgresError(f"Postgres ended while starting. {self._log_tail()}")
            if time.monotonic() > deadline:
                waited = f"{self._start_timeout:g} seconds"
                raise EmbeddedPostgresError(f"Postgres was not ready after {waited}. {self._log_tail()}")
            time.sleep(0.01)

    def _has_ended(self) -> bool:
        return not self._server.is_running() if self._child is None else self._child.poll() is not None

    def _make_database(self) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True, connect_timeout=10) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone()
            if known is None:
                connection.execute(f'CREATE DATABASE "{_DATABASE}"')

    def _reap(self) -> None:
        if self._child is None:
            return
        self._child.send_signal(signal.SIGINT)  # it was told nothing yet if it had not written its pid file
        try:
            self._child.wait(self._stop_timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    def _address(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_dir))}&port={_PORT}"

    def _log_tail(self) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return f"Its log {self._log} ends with: {_last_lines(text)}"


def _socket_dir(cluster: Path) -> Path:
    """The cluster's folder, or a short one named after it where the socket's path would not fit."""
    if _SOCKET_FITS.fullmatch(f"{cluster}/.s.PGSQL.{_PORT}"):
        return cluster
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path(f"/tmp/gateway-postgres-{name}")  # noqa: S108 - short and there on every system; its owner is checked


def _last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-_LOG_LINES_IN_ERRORS:]) or "(nothing)"
