"""The worker's way to the tables: SQLAlchemy sessions whose transactions carry the tenant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection as EngineConnection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, SessionTransaction

from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import Connection, connect, current
from workerapp.db.hints import hints_for
from workerapp.db.tenant import set_tenant


class WorkerDatabase:
    """Opens sessions; each process has its own engine, since connections do not survive a fork."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self._engine: tuple[int, Engine] | None = None

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        if self._engine is None or self._engine[0] != os.getpid():
            if self._engine is not None:
                # A fork: the parent goes on using these connections, so they are let go without a word to the server.
                self._engine[1].dispose(close=False)
            self._engine = (os.getpid(), self._make_engine())
        return self._engine[1]

    @contextmanager
    def session(self, organization_id: UUID | str | None, user_id: UUID | str | None = None) -> Iterator[Session]:
        """A session for one tenant; what is open at the end of the block commits, or rolls back on an exception.

        Messages published while its transaction is open become visible with its commit. Without an organization the
        session sees no tenant's rows.
        """
        with hints_for(self.address).held(), Session(self.engine, expire_on_commit=False) as session:
            _carry_tenant(session, organization_id, user_id)
            try:
                yield session
                session.commit()
            finally:
                current.set(None)

    def _make_engine(self) -> Engine:
        def open_connection() -> Connection:
            connection = connect(self.address, application_name="worker")
            connection.autocommit = False
            return connection

        return create_engine("postgresql+psycopg://", creator=open_connection, pool_size=2, pool_pre_ping=True)


def _carry_tenant(session: Session, organization_id: UUID | str | None, user_id: UUID | str | None) -> None:
    def enter(_: Session, __: SessionTransaction, connection: EngineConnection) -> None:
        if organization_id is not None:
            set_tenant(connection, organization_id, user_id)
        current.set(connection.connection.driver_connection)

    def leave(_: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            current.set(None)

    event.listen(session, "after_begin", enter)
    event.listen(session, "after_transaction_end", leave)
