"""How a message leaves the gateway: inserted in the transaction of its work, hinted at after the commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from sqlalchemy import Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.submission.metrics import SubmissionMetrics
from workerapp.capture import CapturedMessage
from workerapp.contract.events import EVENT_CHANNEL, QUEUE_CHANNEL
from workerapp.db.direct import DirectStatement

logger = logging.getLogger(__name__)

PUBLISH = DirectStatement(
    select(func.broker_publish(bindparam("queue", type_=Text), bindparam("message", type_=JSONB)))
)
NOTIFY = text("SELECT pg_notify(channel, '') FROM unnest(CAST(:channels AS text[])) AS channel")


async def enqueue(connection: AsyncConnection, messages: Iterable[CapturedMessage]) -> None:
    """Insert messages, and the rows of their tasks, in the open transaction: all of it happens or nothing."""
    for captured in messages:
        await PUBLISH.fetch_one(connection, {"queue": captured.queue, "message": captured.message})


class Hints:
    """Tells listeners that there is news, after the commit and at most once per `interval` seconds.

    A hint is sent as its own statement, never in the transaction of the data: there it would hold a lock of the whole
    database across the commit. A lost hint costs the listeners' polling interval and nothing else.
    """

    def __init__(self, engine: AsyncEngine, metrics: SubmissionMetrics, interval: float = 0.02) -> None:
        self._engine, self._metrics = engine, metrics
        self._interval = interval
        self._channels: set[str] = set()
        self._sender: asyncio.Task[None] | None = None

    def news(self, *channels: str) -> None:
        """Hint at these channels soon; call it when the transaction has committed."""
        self._channels.update(channels)
        if self._channels and (self._sender is None or self._sender.done()):
            self._sender = asyncio.create_task(self._send())

    def submitted(self) -> None:
        """Hint that a task was submitted: there is a message to fetch and an event to read."""
        self.news(QUEUE_CHANNEL, EVENT_CHANNEL)

    async def close(self) -> None:
        """Wait for the hint that is under way."""
        if self._sender is not None:
            await self._sender

    async def _send(self) -> None:
        while self._channels:
            channels, self._channels = sorted(self._channels), set()
            try:
                async with self._engine.connect() as connection:
                    await connection.execute(NOTIFY, {"channels": channels})
                self._metrics.hints.labels("sent").inc()
            except (SQLAlchemyError, OSError) as error:
                logger.warning("hint_not_sent", extra={"error": type(error).__name__})
                self._metrics.hints.labels("lost").inc()
            await asyncio.sleep(self._interval)
