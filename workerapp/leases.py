"""Messages a worker holds: kept hidden from others while they are worked on, acknowledged or handed back in batches."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from uuid import UUID, uuid4

import psycopg

from workerapp.contract.events import QUEUE_CHANNEL
from workerapp.db.address import DatabaseAddress
from workerapp.db.connection import LOST, ROLE, Connection, Session
from workerapp.db.hints import hints_for

logger = logging.getLogger(__name__)

#: Acknowledgements wait so long for company; a fetch takes them along earlier.
LINGER = 0.05
#: Between two attempts to reach a database that is down.
PAUSE = 1.0
#: Queues of nodes that were not seen for so long are removed.
DEAD_AFTER = timedelta(minutes=5)


@dataclass(eq=False)
class Lease:
    """What one channel holds, under one token. The token outlives the channel: running tasks still acknowledge."""

    token: UUID = field(default_factory=uuid4)
    closed: bool = False
    _held: set[int] = field(default_factory=set)
    _acked: list[int] = field(default_factory=list)
    _unread: list[int] = field(default_factory=list)
    _requeued: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, ids: list[int]) -> None:
        with self._lock:
            self._held.update(ids)

    def ack(self, message_id: int) -> None:
        self._settle(message_id, self._acked)

    def release(self, message_id: int, *, unread: bool) -> None:
        self._settle(message_id, self._unread if unread else self._requeued)

    def _settle(self, message_id: int, outcome: list[int]) -> None:
        with self._lock:
            if message_id in self._held:
                self._held.discard(message_id)
                outcome.append(message_id)

    def release_rest(self) -> None:
        """Hand back all that is held, at the end of the process."""
        for message_id in self.held():
            self.release(message_id, unread=False)

    def held(self) -> list[int]:
        with self._lock:
            return list(self._held)

    def drop(self, ids: set[int]) -> set[int]:
        """Forget messages that somebody else holds now; returns those that had not been settled meanwhile."""
        with self._lock:
            lost = ids & self._held
            self._held -= lost
            return lost

    def take_acked(self) -> list[int]:
        with self._lock:
            taken, self._acked = self._acked, []
            return taken

    def put_back(self, acked: list[int]) -> None:
        with self._lock:
            self._acked += acked

    def has_news(self) -> bool:
        return bool(self._acked or self._unread or self._requeued)

    def flush(self, connection: Connection) -> bool:
        """Send what is settled; true when messages went back to their queues."""
        with self._lock:
            acked, unread, requeued = self._acked, self._unread, self._requeued
            self._acked, self._unread, self._requeued = [], [], []
        try:
            if acked:
                connection.execute("SELECT broker_ack(%s, %s)", (acked, self.token))
            for ids, unread_flag in ((unread, True), (requeued, False)):
                if ids:
                    connection.execute("SELECT broker_release(%s, %s, %s)", (ids, self.token, unread_flag))
        except BaseException:
            with self._lock:
                self._acked += acked
                self._unread += unread
                self._requeued += requeued
            raise
        return bool(unread or requeued)


class Keeper:
    """The thread of one process that renews leases and sends acknowledgements nobody took along.

    It dies with the process, so a dead worker's messages come back when their leases end.
    """

    def __init__(self, address: DatabaseAddress, visibility: timedelta, role: str = ROLE) -> None:
        self._session = Session(address, application_name="gateway-leases", role=role)
        self._hints = hints_for(address, role)
        self.visibility = visibility
        self._period = visibility.total_seconds() / 3
        self._leases: set[Lease] = set()
        self._sweep_at = 0.0
        self._begin()

    def open(self) -> Lease:
        """A new lease, looked after from now on."""
        self._ready()
        lease = Lease()
        with self._lock:
            self._leases.add(lease)
        return lease

    def touch(self, queue: str) -> None:
        """Keep a temporary queue alive as long as this process lives."""
        self._ready()
        self._queues.add(queue)

    def forget(self, queue: str) -> None:
        self._queues.discard(queue)

    def nudge(self) -> None:
        """Something was settled: it goes out soon."""
        self._wake.set()

    def flush(self, connection: Connection) -> None:
        """Send what is settled."""
        went_back = [lease.flush(connection) for lease in self._all()]
        if any(went_back):
            self._hints.news(QUEUE_CHANNEL)
        with self._lock:
            self._leases = {lease for lease in self._leases if lease.held() or lease.has_news() or not lease.closed}

    def renew(self, connection: Connection) -> None:
        """Keep all that is held hidden for another while."""
        for lease in self._all():
            ids = lease.held()
            if ids:
                rows = connection.execute(
                    "SELECT broker_extend(%s, %s, %s)", (ids, lease.token, self.visibility)
                ).fetchall()
                lost = lease.drop(set(ids) - {row[0] for row in rows})
                if lost:
                    logger.warning("broker_messages_lost", extra={"message_ids": sorted(lost)})
        if self._queues:
            connection.execute("SELECT broker_touch(%s)", (sorted(self._queues),))
        if self._queues and time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + DEAD_AFTER.total_seconds() / 5
            connection.execute("SELECT broker_sweep(%s)", (DEAD_AFTER,))

    def _all(self) -> list[Lease]:
        self._leave_to_parent()
        with self._lock:
            return list(self._leases)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._leases = set()
        self._queues: set[str] = set()
        self._thread: threading.Thread | None = None
        self._sweep_at = time.monotonic() + DEAD_AFTER.total_seconds() / 5

    def _leave_to_parent(self) -> None:
        if self._pid != os.getpid():
            self._begin()

    def _ready(self) -> None:
        self._leave_to_parent()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def close(self) -> None:
        """At the end of the process: hand back what is held and send what is settled."""
        if self._thread is None or self._pid != os.getpid():
            return
        thread, self._thread = self._thread, None
        self._wake.set()
        thread.join(timeout=PAUSE)
        for lease in self._all():
            lease.release_rest()
        try:
            if any(lease.has_news() for lease in self._all()):
                self._session.run(self.flush)
        except LOST as error:
            logger.warning("broker_release_failed", extra={"reason": str(error)})
        self._session.close()
        atexit.unregister(self.close)

    def _run(self) -> None:
        due = time.monotonic() + self._period
        failing = False
        while self._thread is threading.current_thread():
            if self._wake.wait(max(due - time.monotonic(), 0)):
                self._wake.clear()
                time.sleep(LINGER)
            try:
                due = self._work(due)
                failing = False
            except (psycopg.Error, OSError) as error:
                level = logging.DEBUG if failing else logging.WARNING
                logger.log(level, "broker_renewal_failed", extra={"reason": str(error)})
                failing = True
                due = time.monotonic() + PAUSE

    def _work(self, due: float) -> float:
        """Flush, and renew when it is due; returns when it is due next."""
        if any(lease.has_news() for lease in self._all()):
            self._session.run(self.flush)
        if time.monotonic() < due:
            return due
        if self._queues or any(lease.held() for lease in self._all()):
            self._session.run(self.renew)
        return time.monotonic() + self._period


@cache
def keeper_for(address: DatabaseAddress, visibility: timedelta, role: str = ROLE) -> Keeper:
    """The one keeper of this process for that database."""
    return Keeper(address, visibility, role)
