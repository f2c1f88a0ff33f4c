"""The dispatcher's way to the database: it claims deliveries, and records or releases what it claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.connection import AsyncConnection
from workerapp.setting_groups import WebhookSettings
from workerapp.webhooks.attempt import Attempt, Claim

TAKE = """
    SELECT id, organization_id, webhook_endpoint_id, url, sealed_secrets, sealed_headers, event_type, payload, attempt,
           slow, due_at
    FROM webhook_take(%s, %s, %s, %s, %s)
"""
TAKE_WITH_TRACE = TAKE.replace("due_at\n", "due_at, webhook_trace(organization_id, payload) AS traceparent\n")
RECORD = "SELECT id, status, endpoint_disabled FROM webhook_record(%s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What an attempt has made of its delivery, and whether it was the end of its endpoint."""

    id: UUID
    status: str
    endpoint_disabled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """What waits to be sent, and since when the oldest of it should have been."""

    pending: int
    due_since: datetime | None


class Claims:
    """What one dispatcher holds, over all its connections."""

    def __init__(self, settings: WebhookSettings, *, with_traces: bool = False) -> None:
        self._settings = settings
        self._take = TAKE_WITH_TRACE if with_traces else TAKE
        self._token = uuid4()

    async def take(self, connection: AsyncConnection, limit: int, slow_limit: int) -> list[Claim]:
        """Claim what is due, for one attempt each."""
        settings = self._settings
        row = (limit, slow_limit, self._token, timedelta(seconds=settings.lease), len(settings.delays) + 1)
        async with connection.cursor(row_factory=class_row(Claim)) as cursor:
            await cursor.execute(self._take, row)
            return await cursor.fetchall()

    async def record(self, connection: AsyncConnection, attempts: Sequence[Attempt]) -> list[Recorded]:
        """Write how attempts went; those whose claims are another's by now are not among what comes back."""
        settings = self._settings
        results = Jsonb([attempt.as_json() for attempt in attempts])
        disable_after = timedelta(seconds=settings.disable_after)
        row = (
            self._token,
            results,
            list(settings.delays),
            settings.jitter,
            disable_after,
            settings.endpoint_places,
        )
        async with connection.cursor(row_factory=class_row(Recorded)) as cursor:
            await cursor.execute(RECORD, row)
            recorded = await cursor.fetchall()
        if any(record.endpoint_disabled for record in recorded):
            await connection.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
        return recorded

    async def release(self, connection: AsyncConnection, claims: Sequence[Claim]) -> None:
        """Give claims back, as if they had never been."""
        await connection.execute("SELECT webhook_release(%s, %s)", (self._token, [claim.id for claim in claims]))


async def read_backlog(connection: AsyncConnection) -> Backlog:
    """Of all organizations."""
    async with connection.cursor(row_factory=class_row(Backlog)) as cursor:
        await cursor.execute("SELECT pending, due_since FROM webhook_backlog()")
        row = await cursor.fetchone()
    assert row is not None
    return row
