"""psycopg connections of the worker: under its role, kept alive, and never carried over a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg

from workerapp.db.address import DatabaseAddress

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
T = TypeVar("T")

ROLE = "worker_rw"
#: What psycopg raises when a connection is gone.
LOST = (psycopg.OperationalError, psycopg.InterfaceError)
#: A server that vanished is noticed within half a minute; no call waits for it for ever.
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}

#: The connection whose open transaction a publisher or a state write should join; None: use a connection of its own.
current: ContextVar[Connection | None] = ContextVar("current", default=None)

#: Connections of a parent process: kept, because collecting one would warn, and closing it would end the parent's.
_inherited: list[Connection] = []


def connect(
    address: DatabaseAddress, *, application_name: str, role: str = ROLE, connect_timeout: float = 10
) -> Connection:
    """Open a connection in autocommit mode."""
    return psycopg.connect(_conninfo(address, role, application_name, connect_timeout), autocommit=True)


async def connect_async(
    address: DatabaseAddress, *, application_name: str, role: str = ROLE, connect_timeout: float = 10
) -> AsyncConnection:
    """The same for an event loop."""
    conninfo = _conninfo(address, role, application_name, connect_timeout)
    return await psycopg.AsyncConnection.connect(conninfo, autocommit=True)


def _conninfo(address: DatabaseAddress, role: str, application_name: str, connect_timeout: float) -> str:
    defaults = {**KEEPALIVE, "connect_timeout": max(int(connect_timeout), 2)}
    named = {key for key, _ in address.parameters}
    extra = {key: value for key, value in defaults.items() if key not in named}
    return address.conninfo(role=role, application_name=application_name, **extra)


class Session:
    """One connection, opened when it is first needed, by the process that needs it, and again when it was lost."""

    def __init__(
        self, address: DatabaseAddress, *, application_name: str, role: str = ROLE, connect_timeout: float = 10
    ) -> None:
        self._open: Callable[[], Connection] = lambda: connect(
            address, application_name=application_name, role=role, connect_timeout=connect_timeout
        )
        self._connection: Connection | None = None
        self._pid = os.getpid()

    def connection(self) -> Connection:
        """The open connection of this process."""
        self._leave_to_parent()
        if self._connection is None or self._connection.closed:
            self._connection = self._open()
        return self._connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work`; when the connection turns out to be lost, do it once more on a new one."""
        connection = self.connection()
        try:
            return work(connection)
        except LOST:
            if not connection.closed:
                raise
        return work(self.connection())

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._leave_to_parent()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _leave_to_parent(self) -> None:
        if self._pid != os.getpid():
            if self._connection is not None:
                _inherited.append(self._connection)
            self._connection, self._pid = None, os.getpid()
