"""A subject's stored events, page by page, as the caller may read them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.stream.envelope import EncodedEvent, encode_row
from workerapp.contract.caller import Caller
from workerapp.db.statements import clause
from workerapp.db.tenant import tenant_transaction


class EventLog:
    """Reads `task_event`; each read is a short transaction of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, caller: Caller, subject_id: str, *, after: int, most: int) -> list[EncodedEvent]:
        """The first events of a subject after a cursor."""
        parameters = {
            "subject_id": subject_id,
            "organization_id": caller.organization_id,
            "after": after,
            "most": most,
        }
        async with tenant_transaction(self._engine, caller) as connection:
            rows = await connection.execute(clause("events", "read_subject"), parameters)
            return [encode_row(row) for row in rows.mappings()]
