"""Waiting for a hint: one thread of the process listens, and wakes everybody who waits in it."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import LOST, ROLE
from workerapp.db.listener import Listener

logger = logging.getLogger(__name__)

#: After the last one who waited has left, the connection is kept so long for the next one.
LINGER = 2.0
#: Between two attempts to connect.
PAUSE = 0.5

#: Listeners of a parent process: kept, because closing one would end the parent's.
_inherited: list[object] = []


class Ear:
    """Counts what was heard. It listens only while somebody waits: unread hints would pile up in the server."""

    def __init__(self, address: DatabaseAddress, channel: str, role: str = ROLE) -> None:
        self._address = address
        self._channel = channel
        self._role = role
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._listener: Listener | None = None
        self._waiting = 0
        self._left_at = 0.0
        #: How often something was heard. Take it, look at the table, then wait for it to change: nothing is missed.
        self.count = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Listen while this block runs; as soon as the listening begins, that counts as a hint too."""
        if self._pid != os.getpid():
            _inherited.append(self._listener)
            self._begin()
        with self._news:
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"ear-{self._channel}", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._news:
                self._waiting -= 1
                self._left_at = time.monotonic()

    def wait(self, seen: int, seconds: float) -> None:
        """Until `count` is no longer `seen`, or the time is over."""
        with self._news:
            self._news.wait_for(lambda: self.count != seen, seconds)

    def _run(self) -> None:
        while self._is_needed():
            try:
                self._listen()
            except (*LOST, OSError) as error:
                logger.debug("ear_lost", extra={"channel": self._channel, "reason": str(error)})
                time.sleep(PAUSE)

    def _listen(self) -> None:
        listener = self._listener = Listener(self._address, self._channel, role=self._role)
        try:
            self._tell()
            while self._is_needed():
                ready, _, _ = select.select([listener.fileno()], [], [], LINGER)
                if ready:
                    listener.drain()
                    self._tell()
        finally:
            self._listener = None
            listener.close()

    def _tell(self) -> None:
        with self._news:
            self.count += 1
            self._news.notify_all()

    def _is_needed(self) -> bool:
        """Whether to go on; if not, the next one who waits starts another thread."""
        with self._news:
            if self._thread is not threading.current_thread():
                return False
            if self._waiting or time.monotonic() - self._left_at < LINGER:
                return True
            self._thread = None
            return False


@cache
def ear_for(address: DatabaseAddress, channel: str, role: str = ROLE) -> Ear:
    """The one ear of this process for that channel."""
    return Ear(address, channel, role)
