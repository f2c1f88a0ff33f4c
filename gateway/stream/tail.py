"""The one reader of `task_event` in a process: waits for news, reads it once and publishes it to the hub."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import asyncpg

from gateway.stream.envelope import encode_row
from gateway.stream.horizon import Horizon
from gateway.stream.hub import Hub
from gateway.stream.metrics import StreamMetrics
from gateway.stream.settings import StreamSettings
from gateway.stream.snapshot_reader import Page, SnapshotReader
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.address import DatabaseAddress

logger = logging.getLogger(__name__)

ROLE = "event_reader"
_CLOSE_SECONDS = 1.0

#: How a lost connection shows; the last is asyncpg's word for one that ends in the moment of a query.
EXPECTED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Hearer(Protocol):
    """Whoever listens on this connection too, which is looked after better than any that only listens."""

    @property
    def channel(self) -> str: ...
    def told(self, payload: str) -> None:
        """Something came over the channel."""

    def missed(self) -> None:
        """Listening begins, at the start and after each loss of the connection."""


class Tail:
    """Polls on a connection of its own; a notification only ends the pause, so losing one loses nothing.

    It outlives the database: whatever goes wrong, it connects again, listens first and then reads on from where it was.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        hub: Hub,
        settings: StreamSettings | None = None,
        metrics: StreamMetrics | None = None,
        hearers: Sequence[Hearer] = (),
    ) -> None:
        self._address = address
        self._hub = hub
        self._settings = settings or StreamSettings()
        self._metrics = metrics or StreamMetrics()
        self._hearers = hearers
        self._horizon = Horizon()
        self._reader = SnapshotReader(self._settings.tail_page)
        self._hint = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._read_at: float | None = None
        self._failures = 0

    @property
    def is_live(self) -> bool:
        """Whether news is read without delay."""
        if self._read_at is None or self._task is None:
            return False
        return asyncio.get_running_loop().time() - self._read_at < self._settings.live_within

    async def start(self) -> None:
        """Begin, and return when the first read succeeded or failed; after a failure it goes on trying."""
        if self._task is None:
            self._tried.clear()
            self._task = asyncio.create_task(self._run(), name="tail")
        await self._tried.wait()

    async def stop(self) -> None:
        """End, and close the connection; may be called again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                async with self._connection() as connection:
                    await self._follow(connection)
            except Exception as error:  # noqa: BLE001 - without its tail the process is deaf, so it never gives up
                await self._rest(error)

    async def _rest(self, error: Exception) -> None:
        self._metrics.reconnects.inc()
        longest = min(self._settings.reconnect_first * 2**self._failures, self._settings.reconnect_longest)
        seconds = longest * random.uniform(0.5, 1)  # noqa: S311 - only spreads the load
        self._failures = min(self._failures + 1, 32)
        logger.warning(
            "tail_disconnected",
            extra={
                "error": type(error).__name__,
                "reason": str(error),
                "database": self._address.redacted(),
                "retry_in": round(seconds, 3),
            },
            exc_info=None if isinstance(error, EXPECTED) else error,
        )
        self._tried.set()
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(**self._connect_arguments())
        try:
            connection.add_termination_listener(self._wake)
            await connection.add_listener(EVENT_CHANNEL, self._wake)
            for hearer in self._hearers:
                await connection.add_listener(hearer.channel, _teller(hearer))
                hearer.missed()
            self._metrics.connected.set(1)
            yield connection
        finally:
            self._metrics.connected.set(0)
            await _close(connection)

    def _connect_arguments(self) -> dict[str, Any]:
        arguments = self._address.asyncpg_target() | self._address.asyncpg_arguments(
            role=ROLE, application_name="gateway-tail"
        )
        arguments["server_settings"] |= {
            # Without statistics of a snapshot the planner expects a third of the table, which is never so: no scan of
            # all of it, and no compiling for it, 40 times a second.
            "enable_seqscan": "off",
            "jit": "off",
            # If this process vanishes without a word, the server finds out too.
            "tcp_keepalives_idle": "30",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
        }
        arguments.setdefault("timeout", self._settings.connect_timeout)
        # A standby's snapshots do not list the transactions in progress: reading there would lose events.
        return arguments | {"target_session_attrs": "primary", "command_timeout": self._settings.poll_timeout}

    async def _follow(self, connection: asyncpg.Connection) -> None:
        await self._reader.connect(connection)
        logger.info("tail_connected", extra={"database": self._address.redacted()})
        pause = self._settings.poll_busy
        while True:
            page = await self._reader.read(connection)
            await self._publish(page)
            if not page.span.is_complete:
                continue
            hinted = await self._wait(self._settings.poll_busy if page.rows else pause)
            flowing = hinted or bool(page.rows)
            pause = self._settings.poll_busy if flowing else min(pause * 2, self._settings.poll_idle)

    async def _publish(self, page: Page) -> None:
        self._read_at = asyncio.get_running_loop().time()
        self._failures = 0
        wanted = [row for row in page.rows if self._hub.wants(row["organization_id"], row["subject_id"])]
        try:
            await self._hub.publish([encode_row(row) for row in wanted], page.span)
        except Exception:
            # The page is not read again: whoever was still to be told reads it from the table.
            self._hub.lag()
            raise
        self._count(page, len(wanted))
        if page.is_start:
            self._hub.lag()
        self._tried.set()

    def _count(self, page: Page, published: int) -> None:
        self._metrics.last_read.set(time.time())
        self._horizon.see(page.span.target, time.monotonic())
        self._metrics.horizon_transactions.set(self._horizon.transactions)
        self._metrics.horizon_age.set(self._horizon.age)
        if page.rows:
            self._metrics.events_read.inc(len(page.rows))
            self._metrics.events_published.inc(published)
            self._metrics.read(row["type"] for row in page.rows)
            oldest = min(row["at"] for row in page.rows)
            # The database's clock may be ahead of this machine's.
            self._metrics.lag.observe(max((datetime.now(UTC) - oldest).total_seconds(), 0))

    async def _wait(self, seconds: float) -> bool:
        """Pause; a hint ends it early."""
        await asyncio.sleep(self._settings.poll_spacing)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - self._settings.poll_spacing):
                await self._hint.wait()
        hinted = self._hint.is_set()
        self._hint.clear()
        return hinted

    def _wake(self, *_: Any) -> None:
        self._hint.set()


def _teller(hearer: Hearer) -> Callable[[object, int, str, str], None]:
    return lambda _connection, _pid, _channel, payload: hearer.told(payload)


async def _close(connection: asyncpg.Connection) -> None:
    """Say goodbye to the server if it still answers."""
    try:
        await connection.close(timeout=_CLOSE_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
