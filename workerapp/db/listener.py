"""A connection that waits for hints: NOTIFY wakes it, and its file descriptor fits into any event loop."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql

from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import ROLE, connect


class Listener:
    """LISTENs from the moment it is made; read the tables after that, and nothing is missed."""

    def __init__(self, address: DatabaseAddress, *channels: str, role: str = ROLE, connect_timeout: float = 10) -> None:
        self._connection = connect(
            address, application_name="gateway-listen", role=role, connect_timeout=connect_timeout
        )
        for channel in channels:
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def fileno(self) -> int:
        return self._connection.fileno()

    def drain(self) -> frozenset[str]:
        """The channels that were hinted at since the last call.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        return frozenset(notify.channel for notify in self._connection.notifies(timeout=0))

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()
