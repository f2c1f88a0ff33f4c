"""Webhook endpoints of one organization: subscriptions, and the origins that runs call back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.webhooks.refusals import TooManyWebhookEndpoints
from gateway.webhooks.vault import Vault
from workerapp.contract.webhook_signing import WebhookSecrets
from workerapp.db.tables import webhook_delivery
from workerapp.db.tables import webhook_endpoint as table

_delivery = webhook_delivery.c

#: Until the end of the transaction nobody else makes endpoints of the organization, so that the count holds.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('webhook endpoints of ' || current_organization(), 0))")


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookEndpointStore:
    """The endpoints of one organization, in a transaction that acts for it."""

    connection: AsyncConnection
    vault: Vault
    #: How many of each kind there may be.
    most: int

    async def make(self, values: Mapping[str, Any], headers: Mapping[str, str], secret: str) -> Row[Any]:
        """A new subscription.

        Raises:
            TooManyWebhookEndpoints: the organization has as many as it may.
            SecretsUnavailable: the server cannot seal its secret.
        """
        await self._check_room("subscription")
        key = await self._new_id()
        sealed = {"sealed_headers": self.vault.seal_headers(key, headers)}
        statement = insert(table).values(**self._sealed(key, secret), **sealed, **values)
        return (await self.connection.execute(statement.returning(*table.c))).one()

    async def call_back(self, origin: str, secret: str) -> UUID:
        """The endpoint of callbacks to an origin, which is made with this secret if there is none yet.

        It stays at least until the transaction has ended. Raises what `make` does.
        """
        while True:
            known = await self._find_callback(origin)
            if known is not None:
                return known
            await self._check_room("callback")
            key = await self._new_id()
            values = {"kind": "callback", "url": origin, "event_types": []}
            statement = insert(table).values(**self._sealed(key, secret), **values)
            # Somebody else may make it in this moment, and then it is theirs that is found.
            await self.connection.execute(statement.on_conflict_do_nothing())

    async def find(self, key: UUID, *, lock: bool = False) -> Row[Any] | None:
        """An endpoint; with `lock` nobody else changes it until the transaction has ended."""
        statement = self.all().where(table.c.id == key)
        if lock:
            statement = statement.with_for_update(key_share=True)
        row: Row[Any] | None = (await self.connection.execute(statement)).one_or_none()
        return row

    async def change(self, key: UUID, values: Mapping[str, Any]) -> Row[Any]:
        """Change a locked endpoint."""
        statement = update(table).where(self._is(key)).values(updated_at=func.now(), **values)
        return (await self.connection.execute(statement.returning(*table.c))).one()

    async def remove(self, key: UUID) -> None:
        """Remove it, with all that was to be sent to it.

        Who records an attempt locks the delivery and then the endpoint; so do we, or both would wait for each other.
        """
        waiting = select(_delivery.id).where(
            _delivery.organization_id == self.vault.organization_id,
            *(_delivery.webhook_endpoint_id == key, _delivery.status == "pending"),
        )
        await self.connection.execute(waiting.order_by(_delivery.id).with_for_update())
        await self.connection.execute(delete(table).where(self._is(key)))

    def all(self) -> Select[Any]:
        """All of them."""
        return select(table).where(table.c.organization_id == self.vault.organization_id)

    def _is(self, key: UUID) -> Any:
        return (table.c.organization_id == self.vault.organization_id) & (table.c.id == key)

    def _sealed(self, key: UUID, secret: str) -> dict[str, Any]:
        sealed = self.vault.seal_secrets(key, WebhookSecrets(secret=secret))
        return {"id": key, "organization_id": self.vault.organization_id, "sealed_secrets": sealed}

    async def _new_id(self) -> UUID:
        key: UUID = (await self.connection.execute(select(func.uuid7()))).scalar_one()
        return key

    async def _find_callback(self, origin: str) -> UUID | None:
        is_it = (
            (table.c.organization_id == self.vault.organization_id)
            & (table.c.kind == "callback")
            & (table.c.url == origin)
        )
        statement = select(table.c.id).where(is_it).with_for_update(read=True, key_share=True)
        key: UUID | None = (await self.connection.execute(statement)).scalar_one_or_none()
        return key

    async def _check_room(self, kind: Literal["subscription", "callback"]) -> None:
        await self.connection.execute(_LOCK)
        own = select(func.count()).where(table.c.organization_id == self.vault.organization_id, table.c.kind == kind)
        if (await self.connection.execute(own)).scalar_one() >= self.most:
            raise TooManyWebhookEndpoints(
                f"The organization has {self.most} webhook endpoints of the kind {kind}, which is the limit; remove one"
                " that is not used."
            )
