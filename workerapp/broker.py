"""The Celery broker on Postgres: a kombu transport that keeps nothing that matters in memory.

Bindings, messages and leases are rows. One connection serves all channels; another waits for hints, so that a worker
is woken when there is work and only polls to be sure. `register()` makes kombu find it by the URL of the database.
"""

# ruff: noqa: FBT001, FBT002 - the signatures are kombu's
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
import os
import select
import socket
from collections import deque
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

import psycopg
from celery.concurrency import ALIASES as POOLS
from kombu.transport import TRANSPORT_ALIASES, _transport_cache, virtual

from workerapp.broker_url import take_address, with_password
from workerapp.channel import Channel, Delivery
from workerapp.contract.events import QUEUE_CHANNEL
from workerapp.db.connection import LOST, ROLE, Connection, Session
from workerapp.db.hints import hints_for
from workerapp.db.listener import Listener
from workerapp.leases import keeper_for

logger = logging.getLogger(__name__)

#: Longer than any wait.
LONG = 3600.0


class Transport(virtual.Transport):
    """Options: `visibility_timeout` (60 s), `polling_interval` (1 s), `max_reads` (5), `role` (worker_rw)."""

    Channel = Channel
    can_parse_url = True
    driver_type = "postgresql"
    driver_name = "psycopg"
    connection_errors = (*virtual.Transport.connection_errors, *LOST, OSError)  # type: ignore[assignment]
    recoverable_connection_errors = connection_errors
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"])
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        options = client.transport_options
        role = options.get("role", ROLE)
        visibility = timedelta(seconds=float(options.get("visibility_timeout", 60)))
        self.address = take_address(client)
        self.max_reads = int(options.get("max_reads", 5))
        self.keeper = keeper_for(self.address, visibility, role)
        self.hints = hints_for(self.address, role)
        self._reach = {"role": role, "connect_timeout": client.connect_timeout or 10}
        self.session = Session(self.address, application_name="gateway-broker", **self._reach)
        self._inbox: deque[tuple[Channel, Delivery]] = deque()
        self.callbacks: dict[str, Any] = self._callbacks
        self._listener: Listener | None = None
        self._listener_fd = -1
        self._loop: Any = None
        self._timer: Any = None
        self._alarm = False
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._polled_at = monotonic()
        self._pid = os.getpid()

    def driver_version(self) -> str:
        return psycopg.__version__

    def as_uri(self, _uri: str, include_password: bool = False, *_: Any) -> str:
        return with_password(self.address) if include_password else self.address.redacted()

    # ------------------------------------------------------------ connection
    def establish_connection(self) -> Transport:
        self.session.run(self._check)
        return super().establish_connection()  # type: ignore[no-any-return]

    def _check(self, connection: Connection) -> None:
        if connection.execute("SELECT to_regproc('broker_turn') IS NULL").fetchone() == (True,):
            raise RuntimeError(f"{self.address.redacted()} has no queue yet; run `gateway migrate` on it first")
        self.keeper.renew(connection)  # before anything is fetched: what runs on must not be fetched again

    def close_connection(self, connection: Any) -> None:
        if self._pid != os.getpid():
            self.channels.clear()  # a copy after a fork: everything in it is the parent's
            return
        while self._inbox:
            channel, delivery = self._inbox.popleft()
            channel.lease.release(delivery.id, unread=True)
        self._stop_listening()
        self._leave_loop()
        super().close_connection(connection)
        self.session.close()
        for end in self._bell or ():
            end.close()
        self._bell = None

    # ------------------------------------------------------------ event loop: prefork, threads
    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Fetch at every turn of the loop that has reason to: a hint, the poll, or room where more is waiting."""
        self._loop = loop
        self._listen()
        loop.add_reader(self._bell_rope(), self._hush)
        loop.on_tick.add(self._on_tick)
        self._timer = loop.call_repeatedly(self.polling_interval, self._poll)

    def _on_tick(self) -> None:
        while self._fill():
            while self._inbox:
                self._deliver_next()
            self._ring()  # a pool that works in this thread has left acknowledgements: do not sleep on them
        patience = self._patience()
        if patience < LONG and not self._alarm:
            self._alarm = True
            self._loop.call_later(patience, self._on_alarm)
            self._ring()  # the loop has chosen how long to sleep before it came here

    def _on_alarm(self) -> None:
        self._alarm = False

    def _poll(self) -> None:
        if self._listener is None:
            try:
                self._listen()
            except LOST as error:
                logger.warning("broker_listen_failed", extra={"reason": str(error)})
        self._look_everywhere()

    def _leave_loop(self) -> None:
        if self._loop is not None:
            self._loop.on_tick.discard(self._on_tick)
            self._timer.cancel()
            self._loop.remove_reader(self._bell_rope())
            self._loop = None

    # ------------------------------------------------------------ blocking: gevent, clients
    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Deliver one message, waiting for it on the hint.

        Raises:
            socket.timeout: none came in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        expired = False
        while True:
            if self._listener is None:
                self._listen()
            if monotonic() - self._polled_at >= self.polling_interval:
                self._look_everywhere()
            if self._inbox or self._fill():
                self._deliver_next()
                return
            if expired:
                raise TimeoutError("timed out")
            left = LONG if deadline is None else max(0.0, deadline - monotonic())
            self._wait(min(left, self.polling_interval, self._patience()))
            expired = deadline is not None and monotonic() >= deadline

    def _wait(self, seconds: float) -> None:
        """Until a hint, an acknowledgement that makes room, or the time is over."""
        rope = self._bell_rope()
        poll = select.poll()
        for fd in (self._listener_fd, rope):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(seconds * 1000):
            if fd == rope:
                self._hush()
            else:
                self._hear()

    def wake(self) -> None:
        """A message was settled, maybe by another thread: there may be room for the next."""
        if self._loop is None:
            self._ring()

    def _bell_rope(self) -> int:
        """A file descriptor that becomes readable when the bell rings."""
        if self._bell is None:
            self._bell = socket.socketpair()
            for end in self._bell:
                end.setblocking(False)  # noqa: FBT003
        return self._bell[0].fileno()

    def _ring(self) -> None:
        if self._bell is not None:
            with suppress(OSError):
                self._bell[1].send(b"!")

    def _hush(self) -> None:
        if self._bell is not None:
            with suppress(OSError):
                self._bell[0].recv(4096)

    # ------------------------------------------------------------ both
    def _fill(self) -> bool:
        """Fetch for all; what one node alone is told comes first: who revokes tasks and then sends some means those."""
        waiting = [channel for channel in self.channels if channel.patience() == 0]
        found: list[tuple[Channel, Delivery]] = []
        try:
            for channel in waiting:
                found += [(channel, delivery) for delivery in channel.fetch()]
        finally:  # when the connection is lost in between, what was fetched is there to be handed back
            self._inbox.extend(sorted(found, key=lambda pair: pair[1].queue not in pair[0].temporary))
        return bool(self._inbox)

    def _patience(self) -> float:
        """How long there is nothing to do but wait."""
        return min((p for p in (channel.patience() for channel in self.channels) if p is not None), default=LONG)

    def _deliver_next(self) -> None:
        channel, delivery = self._inbox.popleft()
        channel.deliver(delivery)

    def _look_everywhere(self) -> None:
        self._polled_at = monotonic()
        for channel in self.channels:
            channel.look_at = 0.0

    def _listen(self) -> None:
        """Listen first, then look: so nothing is missed."""
        self._listener = Listener(self.address, QUEUE_CHANNEL, **self._reach)
        self._listener_fd = self._listener.fileno()
        if self._loop is not None:
            self._loop.add_reader(self._listener_fd, self._hear)
        self._look_everywhere()

    def _hear(self) -> None:
        if self._listener is not None:
            try:
                self._listener.drain()
            except LOST as error:
                logger.warning("broker_listener_lost", extra={"reason": str(error)})
                self._stop_listening()
        self._look_everywhere()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._listener_fd)
            listener.close()


def register() -> None:
    """Make `postgresql://`, `postgres://` and `sqla+postgresql://` mean this transport in this process.

    And `prefork` mean a pool that an outage does not confuse: without it a message may stay leased for ever.
    """
    POOLS.update(dict.fromkeys(("prefork", "processes"), "workerapp.prefork:TaskPool"))
    TRANSPORT_ALIASES.update(dict.fromkeys(("postgresql", "postgres", "sqla"), "workerapp.broker:Transport"))
    for name in ("postgresql", "postgres", "sqla"):
        _transport_cache.pop(name, None)
