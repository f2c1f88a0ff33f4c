"""Keys of one organization, as it makes and keeps them itself over REST: none may more than its maker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.auth.keys import NewSecret, Scope, new_secret
from gateway.errors import KeyEnded, ScopeMissing, TooManyKeys
from workerapp.db import tables
from workerapp.db.tables import api_key as table

_CREATE = text("SELECT create_api_key(:name, :prefix, :hash, :scopes, :expires_at, :user_id, :most)")
#: The serving role may not even ask for the hash.
_COLUMNS = [column for column in table.c if column is not table.c.secret_hash]
_IS_LIVE = table.c.revoked_at.is_(None) & or_(table.c.expires_at.is_(None), table.c.expires_at > func.now())


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a new key is to be."""

    name: str
    scopes: Sequence[str]
    expires_at: datetime | None = None
    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class KeyStore:
    """The keys of one organization, in a transaction that acts for it."""

    connection: AsyncConnection
    organization_id: UUID
    #: How many may be live at a time.
    most: int

    async def make(self, wanted: Wanted) -> tuple[Row[Any], NewSecret]:
        """A new key.

        Raises:
            TooManyKeys: the organization has as many as it may.
        """
        secret = new_secret()
        values = {
            "name": wanted.name,
            "prefix": secret.prefix,
            "hash": secret.hash,
            "scopes": [str(scope) for scope in wanted.scopes],
            "expires_at": wanted.expires_at,
            "user_id": wanted.user_id,
            "most": self.most,
        }
        key_id = (await self.connection.execute(_CREATE, values)).scalar_one()
        if key_id is None:
            raise TooManyKeys(
                f"The organization has {self.most} keys that are good, which is the limit; revoke one that is not used."
            )
        row = await self.find(key_id)
        assert row is not None
        return row, secret

    async def find(self, key_id: UUID) -> Row[Any] | None:
        """A key, good or not."""
        row: Row[Any] | None = (await self.connection.execute(self.all().where(table.c.id == key_id))).one_or_none()
        return row

    async def rename(self, key_id: UUID, name: str) -> None:
        """Call it otherwise."""
        await self._update(key_id, name=name)

    async def revoke(self, key_id: UUID) -> None:
        """Make it useless, once and for all."""
        await self._update(key_id, revoked_at=func.coalesce(table.c.revoked_at, func.now()))

    async def replace(self, key_id: UUID, overlap: timedelta) -> tuple[Row[Any], NewSecret]:
        """Make another one in its place, for as long as it was made for; it is good for the time of the overlap yet.

        Raises:
            KeyEnded: it is expired or revoked already.
            TooManyKeys: there is no room for both.
        """
        locked = self.all().where(table.c.id == key_id, _IS_LIVE).with_for_update()
        old = (await self.connection.execute(locked)).one_or_none()
        if old is None:
            raise KeyEnded("The key is expired or revoked, so there is nothing to replace; make a new one.")
        await self._update(key_id, expires_at=func.least(table.c.expires_at, func.now() + overlap))
        expires_at = None if old.expires_at is None else old.now + (old.expires_at - old.created_at)
        return await self.make(
            Wanted(name=old.name, scopes=old.scopes, expires_at=expires_at, user_id=old.user_id),
        )

    async def has_user(self, user_id: UUID) -> bool:
        """Whether the organization has this user."""
        user = tables.app_user.c
        found = select(user.id).where(user.organization_id == self.organization_id, user.id == user_id)
        return (await self.connection.execute(found)).first() is not None

    def all(self) -> Select[Any]:
        """All keys there ever were."""
        return select(*_COLUMNS, func.now().label("now")).where(table.c.organization_id == self.organization_id)

    async def _update(self, key_id: UUID, **values: Any) -> None:
        is_it = (table.c.organization_id == self.organization_id) & (table.c.id == key_id)
        await self.connection.execute(update(table).where(is_it).values(**values))


def check_giving(held: Iterable[str], given: Iterable[str]) -> None:
    """Refuse to give scopes that the giver does not have, and an operator's in any case.

    Raises:
        ScopeMissing: names what the giver lacks.
    """
    held, given = set(held), set(given)
    if Scope.ADMIN in given:
        raise ScopeMissing(
            f'Keys with the scope "{Scope.ADMIN}" are made, replaced and revoked with `gateway keys` by who runs the'
            " server."
        )
    if beyond := given - held:
        lacking, having = ", ".join(sorted(beyond)), ", ".join(sorted(held)) or "none"
        raise ScopeMissing(
            f"A key gives no scope that it does not have itself: this needs {lacking}; yours has {having}."
        )
