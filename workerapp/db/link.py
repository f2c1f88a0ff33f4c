"""The result backend's way to the database: lent connections, transactions that publishers join, and patience."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg

from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import LOST, Connection, Session, current
from workerapp.db.hints import hints_for

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = tuple[Any, ...]

#: The database chose this transaction to give way to another: it can be done again at once.
GAVE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
#: As many idle connections are kept in a process; more are open only while more threads need them.
KEPT = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


class Sessions:
    """Connections of one process, each lent to one thread at a time, so that a thread which ends leaves none behind."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._idle: deque[Session] = deque()

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """A session for the time of the block."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = Session(self._address, application_name="result-backend")
        try:
            yield session
        finally:
            if len(self._idle) < KEPT:
                self._idle.append(session)
            else:
                session.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()


class Link:
    """Statements and transactions of the result backend."""

    def __init__(self, address: DatabaseAddress, patience: float) -> None:
        self._sessions = sessions_for(address)
        self._hints = hints_for(address)
        self._patience = patience
        self._thread = threading.local()

    @property
    def open(self) -> Connection | None:
        """The connection, while this thread has a transaction of the backend open on it."""
        return getattr(self._thread, "open", None)

    @contextmanager
    def transaction(self, *, savepoint: bool = False) -> Iterator[None]:
        """A new transaction that messages published meanwhile join, or the one of the context.

        In that one it is a savepoint only if asked for: by who goes on after an exception.
        """
        outer = self.open or current.get()
        if outer is not None and not savepoint:
            yield
            return
        if outer is not None:
            with outer.transaction():
                yield
            return
        with self._sessions.lend() as session:
            connection = self._thread.open = session.connection()
            try:
                with self._hints.transaction(connection):
                    yield
                    self._hints.news(EVENT_CHANNEL)
            except psycopg.OperationalError:
                # Also when only the server thinks so: the next attempt begins on a connection that surely works.
                session.close()
                raise
            finally:
                self._thread.open = None

    def write(self, statement: Any, parameters: Row) -> Any:
        """A state: in a transaction of the backend, else at once, even while the task has a transaction of its own."""
        if self.open is not None:
            return self.open.execute(statement, parameters).fetchone()
        row = self._run(lambda connection: connection.execute(statement, parameters).fetchone())
        self._hints.news_of_committed(EVENT_CHANNEL)
        return row

    def read(self, statement: Any, parameters: Row, row_factory: Any = None) -> list[Any]:
        """Rows as they are now, including what this thread's transaction of the backend has written."""

        def fetch(connection: Connection) -> list[Any]:
            with connection.cursor(row_factory=row_factory) if row_factory else connection.cursor() as cursor:
                return cursor.execute(statement, parameters).fetchall()

        return fetch(self.open) if self.open is not None else self._run(fetch)

    def execute(self, statement: Any, parameters: Row) -> list[Row]:
        """In the transaction of the context, whoever opened it; else by itself."""

        def fetch(connection: Connection) -> list[Row]:
            return connection.execute(statement, parameters).fetchall()

        joined = current.get()
        return fetch(joined) if joined is not None else self._run(fetch)

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self._sessions.lend() as session:
            return session.run(work)

    def patiently(self, work: Callable[[], T], patience: float | None = None) -> T:
        """Do `work`, again and again while the database is away; inside a transaction its owner does that."""
        if self.open is not None:
            return work()
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        pause = FIRST_PAUSE
        while True:
            try:
                return work()
            except GAVE_WAY as error:
                logger.info("result_backend_gave_way", extra={"error": type(error).__name__})
                pause_now = random.uniform(0, FIRST_PAUSE)  # noqa: S311 - spreads those who collided
                if time.monotonic() > deadline:
                    raise
            except LOST as error:
                logger.warning("result_backend_unavailable", extra={"error": type(error).__name__})
                pause_now, pause = pause, min(pause * 2, LONGEST_PAUSE)
                if time.monotonic() + pause_now > deadline:
                    raise
            time.sleep(pause_now)


@cache
def sessions_for(address: DatabaseAddress) -> Sessions:
    """The connections of this process to that database."""
    return Sessions(address)
