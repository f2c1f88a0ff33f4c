"""What is examined: the settings, how the database is reached with them, and what else the operator named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from gateway.settings import GatewaySettings
from workerapp.db.address import DatabaseAddress
from workerapp.settings import WorkerSettings

NAME = "gateway-doctor"

Connection = psycopg.Connection[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A gateway that is asked as its callers would ask it."""

    url: str
    api_key: str


def now() -> datetime:
    """What this machine's clock says."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """All that checks look at."""

    settings: GatewaySettings
    worker: WorkerSettings
    #: The login that migrated, which may see what the serving login may not; None: the operator named none.
    owner: DatabaseAddress | None
    server: Server | None
    #: Of `gateway up`: its folder, and the file with the secret keys that it keeps.
    data_dir: Path
    kept_keys: Path
    #: How long any check may take, in seconds.
    patience: float
    clock: Callable[[], datetime] = now

    @property
    def address(self) -> DatabaseAddress:
        """The database, as the gateway reaches it."""
        return self.settings.database

    @contextmanager
    def plain_connection(self) -> Iterator[Connection]:
        """A connection that asks for nothing but to log in."""
        parameters = dict(self.address.parameters)
        with self._open(make_conninfo("", **parameters)) as connection:
            yield connection

    @contextmanager
    def serving_connection(self, role: str) -> Iterator[Connection]:
        """A connection as gateways and workers open them: under a role, by start-up parameters."""
        with self._open(self.address.conninfo(role=role)) as connection:
            yield connection

    @contextmanager
    def seeing_connection(self) -> Iterator[Connection]:
        """A connection that sees as much as possible of other sessions: the owner's, else the serving one."""
        address = self.owner or self.address
        with self._open(make_conninfo("", **dict(address.parameters))) as connection:
            yield connection

    def _open(self, conninfo: str) -> Connection:
        seconds = max(int(self.patience / 2), 2)
        return psycopg.connect(
            make_conninfo(conninfo, application_name=NAME, connect_timeout=seconds),
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
        )


def first_line(error: BaseException) -> str:
    """What an error says, shortly."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
