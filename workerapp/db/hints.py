"""Hints that there is news in a table: NOTIFY without payload, after the commit, at most one per interval and process.

Inside a data transaction NOTIFY would hold a lock of the whole database across the flush; as a statement of its own it
costs next to nothing. A lost hint costs latency only, because every reader also polls.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import LOST, ROLE, Connection, Session, current

logger = logging.getLogger(__name__)

#: At most one NOTIFY per channel in this many seconds; what comes meanwhile goes out together at its end.
INTERVAL = 0.025
#: A connection that had nothing to say for so long is closed.
IDLE = 60.0

_held: ContextVar[set[str] | None] = ContextVar("held_hints", default=None)


class Hints:
    """Sends hints from a thread with a connection of its own, so that no caller waits for them."""

    def __init__(self, address: DatabaseAddress, *, role: str = ROLE, interval: float = INTERVAL) -> None:
        self._session = Session(address, application_name="gateway-hints", role=role)
        self._interval = interval
        self._begin()

    def news(self, *channels: str) -> None:
        """Tell listeners; call it after the commit, or inside `held` or `transaction`."""
        held = _held.get()
        if held is not None:
            held.update(channels)
        else:
            self.news_of_committed(*channels)

    def news_of_committed(self, *channels: str) -> None:
        """Tell listeners of what is committed already, whatever transaction a block around the call has open."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            is_known = self._waiting.issuperset(channels)
            self._waiting.update(channels)
            if self._thread is None:
                self._start()
        if not is_known:  # else the thread sleeps until they are due, and waking it costs more than it does
            self._wake.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold hints back until the block ends well; put it around a transaction."""
        if _held.get() is not None:
            yield
            return
        channels: set[str] = set()
        token = _held.set(channels)
        try:
            yield
        finally:
            _held.reset(token)
        if channels:
            self.news(*channels)

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[Connection]:
        """A transaction that publishers and state writes inside the block join; hints follow its commit."""
        with self.held(), connection.transaction():
            token = current.set(connection)
            try:
                yield connection
            finally:
                current.reset(token)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._waiting: set[str] = set()
        self._sent_at: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        while self._thread is threading.current_thread() or self._waiting:
            if not self._wake.wait(self._due_in()) and not self._waiting:
                self._session.close()
                self._wake.wait()
            self._wake.clear()
            self._send()

    def _due_in(self) -> float:
        """In how many seconds the first of the waiting hints may go out."""
        with self._lock:
            due = [self._sent_at.get(channel, 0.0) + self._interval for channel in self._waiting]
        return max(0.0, min(due) - time.monotonic()) if due else IDLE

    def _send(self) -> None:
        """Send what is due: a channel that was silent does not wait for one that was not."""
        now = time.monotonic()
        with self._lock:
            channels = sorted(c for c in self._waiting if self._sent_at.get(c, 0.0) + self._interval <= now)
            self._waiting.difference_update(channels)
            self._sent_at.update(dict.fromkeys(channels, now))
        if not channels:
            return
        try:
            self._session.run(
                lambda connection: connection.execute(
                    "SELECT pg_notify(channel, '') FROM unnest(%s::text[]) AS channel", (channels,)
                )
            )
        except LOST as error:
            logger.debug("hint_lost", extra={"reason": str(error)})

    def close(self) -> None:
        """At the end of the process: what is waiting still goes out."""
        if self._thread is None or self._pid != os.getpid():
            return
        thread, self._thread = self._thread, None
        self._wake.set()
        thread.join(timeout=1)
        self._session.close()
        atexit.unregister(self.close)


@cache
def hints_for(address: DatabaseAddress, role: str = ROLE) -> Hints:
    """The one sender of this process for that database."""
    return Hints(address, role=role)
