"""Sends what is due: claims deliveries for the places that are free, makes an attempt for each, and records it.

The database is the truth, and may be away: what has been attempted meanwhile is kept, and recorded when it is back,
unless its claim has run out by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic

import psycopg

from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.connection import LOST, AsyncConnection, connect_async
from workerapp.db.listener import Listener
from workerapp.settings import WorkerSettings
from workerapp.tracing.traces import OFF, Traces
from workerapp.webhooks.attempt import Attempt, Outcome
from workerapp.webhooks.claims import Claims, Recorded, read_backlog
from workerapp.webhooks.flights import Flights
from workerapp.webhooks.looks import Looks
from workerapp.webhooks.message import Composer
from workerapp.webhooks.metrics import WebhookMetrics
from workerapp.webhooks.sender import Sender

logger = logging.getLogger(__name__)

#: Between two writes of results.
RECORD_PAUSE = 0.05
#: Between two looks at what waits, for the metrics.
BACKLOG_PAUSE = 5.0
#: Between two attempts to connect, at most.
CONNECT_PAUSE = 1.0
#: How long attempts may go on when the worker stops.
GRACE = 5.0


class Dispatch:
    """One worker's part in it, until it is stopped."""

    def __init__(self, settings: WorkerSettings, metrics: WebhookMetrics, traces: Traces = OFF) -> None:
        self._address, self._settings, self._metrics = settings.database, settings.webhooks, metrics
        composer = Composer(settings.sealer, settings.public_url)
        self._sender = Sender(composer, settings.outbound, self._settings, traces)
        self._wake = asyncio.Event()
        self._flights = Flights(self._sender.attempt, self._settings, metrics, self._hear)
        self._claims = Claims(self._settings, with_traces=bool(settings.traces_endpoint))
        self._looks = Looks(self._settings.pause)
        #: When it is told next; never, if nobody asks.
        self._backlog_at = 0.0 if settings.worker_metrics_port else float("inf")
        self._is_stopping = self._is_failing = self._is_deaf = False

    async def run(self) -> None:
        """Work, and after any trouble connect anew; that it goes on is told once."""
        async with self._sender:
            while not self._is_stopping:
                try:
                    await self._connect()
                except (*LOST, OSError) as error:
                    fields = {"error": type(error).__name__, "reason": str(error).strip()}
                    level = logging.DEBUG if self._is_failing else logging.WARNING
                    logger.log(level, "webhooks_interrupted", extra=fields)
                    self._is_failing = True
                except Exception:
                    logger.exception("webhooks_failed")
                await self._pause()
            await self._flights.break_off()

    def stop(self) -> None:
        """Begin nothing more, and end; to be called in the event loop."""
        self._is_stopping = True
        self._wake.set()

    async def _pause(self) -> None:
        ends_at = monotonic() + min(self._settings.pause, CONNECT_PAUSE)
        while not self._is_stopping and (left := ends_at - monotonic()) > 0:
            self._wake.clear()
            await self._woken(left)

    async def _woken(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _connect(self) -> None:
        async with await connect_async(self._address, application_name="webhooks") as connection, self._listening():
            self._is_failing = False
            self._looks.hear()
            while not self._is_stopping:
                self._wake.clear()
                await self._work(connection)
                await self._woken(self._looks.seconds_left if self._flights.places else BACKLOG_PAUSE)
                await asyncio.sleep(RECORD_PAUSE)
            await self._finish(connection)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Hear when somebody has committed events, which may have queued deliveries."""
        loop = asyncio.get_running_loop()
        listener = await asyncio.to_thread(Listener, self._address, EVENT_CHANNEL)
        number = listener.fileno()

        def hear() -> None:
            try:
                listener.drain()
            except LOST:
                loop.remove_reader(number)
                self._is_deaf = True
            self._hear()

        self._is_deaf = False
        loop.add_reader(number, hear)
        try:
            yield
        finally:
            loop.remove_reader(number)
            listener.close()

    def _hear(self) -> None:
        self._looks.hear()
        self._wake.set()

    async def _work(self, connection: AsyncConnection) -> None:
        if self._is_deaf:
            raise psycopg.OperationalError("the connection that hears of events is lost")
        await self._record(connection)
        if self._flights.places and not self._looks.seconds_left:
            await self._take(connection)
        if monotonic() >= self._backlog_at:
            self._metrics.tell(await read_backlog(connection))
            self._backlog_at = monotonic() + BACKLOG_PAUSE

    async def _take(self, connection: AsyncConnection) -> None:
        self._looks.look()
        until = monotonic() + self._settings.lease
        claims = await self._claims.take(connection, self._flights.places, self._flights.slow_places)
        self._flights.begin(claims, until)
        if claims:
            self._looks.hear()

    async def _record(self, connection: AsyncConnection) -> None:
        attempts = self._flights.landed()
        if attempts:
            recorded = await self._claims.record(connection, attempts)
            self._flights.forget(attempts)
            _tell(attempts, recorded)

    async def _finish(self, connection: AsyncConnection) -> None:
        """Let attempts end that will soon; the others are given back."""
        ends_at = monotonic() + GRACE
        while self._flights and (left := ends_at - monotonic()) > 0:
            self._wake.clear()
            await self._woken(left)
        broken_off = await self._flights.break_off()
        await self._record(connection)
        if broken_off:
            await self._claims.release(connection, broken_off)


def _tell(attempts: Sequence[Attempt], recorded: Sequence[Recorded]) -> None:
    """Log what became of deliveries; what was another's by then is told by whoever had it."""
    by_id = {attempt.claim.id: attempt for attempt in attempts}
    disabled = set()
    for record in recorded:
        attempt = by_id[record.id]
        claim = attempt.claim
        fields = claim.fields | {"http_status": attempt.http_status, "duration_ms": attempt.duration_ms}
        if attempt.outcome is Outcome.DELIVERED:
            logger.debug("webhook_delivered", extra=fields)
        else:
            is_last = record.status == "exhausted"
            event, level = ("webhook_exhausted", logging.WARNING) if is_last else ("webhook_failed", logging.INFO)
            logger.log(level, event, extra=fields | {"reason": attempt.error})
        if record.endpoint_disabled and claim.webhook_endpoint_id not in disabled:
            disabled.add(claim.webhook_endpoint_id)
            logger.warning("webhook_endpoint_disabled", extra=fields | {"reason": attempt.error})
