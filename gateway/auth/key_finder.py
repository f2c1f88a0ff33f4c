"""Finds whose a key is, and remembers it until the key's time is over, or the database tells that it has changed."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.auth.keys import MARK, hash_of
from workerapp.contract.caller import Caller

MAX_LENGTH = 200

_FIND = text("SELECT k.*, touch_api_key(k.id) FROM find_api_key(:key) AS k")
_FIND_BY_ID = text("SELECT k.*, touch_api_key(k.id) FROM find_api_key_by_id(:key) AS k")
_LOOK_AGAIN = text(
    "SELECT k.* FROM unnest(CAST(:keys AS uuid[])) AS asked(id) CROSS JOIN LATERAL find_api_key_by_id(asked.id) AS k"
)
_EXIST = text("SELECT has_live_keys()")


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float


class KeyFinder:
    """Remembers keys for some seconds, so that a busy one costs no query a request."""

    def __init__(self, engine: AsyncEngine, *, cache_seconds: float, cache_size: int) -> None:
        self._engine = engine
        self._seconds = cache_seconds
        self._size = cache_size
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        #: Which key a secret's hash is of: that never changes, so there is nothing to forget but for want of room.
        self._ids: OrderedDict[bytes, UUID] = OrderedDict()
        #: How often something was forgotten: what was read before that is not remembered after it.
        self._forgotten = 0

    async def find(self, secret: str) -> Caller | None:
        """The caller, or none if the key is unknown, expired or revoked."""
        if not secret.startswith(MARK) or len(secret) > MAX_LENGTH or not secret.isascii():
            return None
        # No secrets are compared here: the index finds the hash, and near misses of a hash tell nothing of the secret.
        secret_hash = hash_of(secret)
        known = self._recall(self._ids.get(secret_hash))
        if known is not None:
            return known
        caller = await self._look_up(_FIND, secret_hash)
        if caller is not None and caller.key_id is not None:
            _keep(self._ids, secret_hash, caller.key_id, self._size)
        return caller

    def has_met(self, secret: str) -> bool:
        """Whether the key was good when it was last looked at here, however long ago that is."""
        return self._ids.get(hash_of(secret)) in self._known

    async def find_by_id(self, key_id: UUID) -> Caller | None:
        """The caller whose key has this id, or none if it is unknown, expired or revoked."""
        return self._recall(key_id) or await self._look_up(_FIND_BY_ID, key_id)

    async def look_again(self, key_ids: Iterable[UUID]) -> Mapping[UUID, Caller]:
        """The callers of those of the keys that are good at this moment; that is no use of them."""
        forgotten = self._forgotten
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_LOOK_AGAIN, {"keys": list(key_ids)})).mappings().all()
        return {row["id"]: self._remember(row, forgotten) for row in rows}

    async def exist(self) -> bool:
        """Whether there is a key, of anybody, that is good at this moment."""
        async with self._engine.connect() as connection:
            return bool((await connection.execute(_EXIST)).scalar_one())

    def knows(self, caller: Caller) -> bool:
        """Whether the caller's key is good by all that has been told of it, without a look at the database."""
        return caller.key_id is not None and self._recall(caller.key_id) == caller

    def forget(self, key_id: UUID) -> None:
        """Look at this key again before it is believed."""
        self._forgotten += 1
        self._known.pop(key_id, None)

    def forget_all(self) -> None:
        """Look at every key again before it is believed."""
        self._forgotten += 1
        self._known.clear()

    def _recall(self, key_id: UUID | None) -> Caller | None:
        known = None if key_id is None else self._known.get(key_id)
        return known.caller if known is not None and time.monotonic() < known.until else None

    async def _look_up(self, statement: TextClause, key: bytes | UUID) -> Caller | None:
        forgotten = self._forgotten
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement, {"key": key})).mappings().one_or_none()
        return None if row is None else self._remember(row, forgotten)

    def _remember(self, row: RowMapping, forgotten: int) -> Caller:
        caller = Caller(
            organization_id=row["organization_id"],
            user_id=row["user_id"],
            key_id=row["id"],
            scopes=frozenset(row["scopes"]),
            expires_at=row["expires_at"],
        )
        if forgotten == self._forgotten:
            _keep(self._known, row["id"], _Known(caller, time.monotonic() + self._seconds_for(caller)), self._size)
        return caller

    def _seconds_for(self, caller: Caller) -> float:
        if caller.expires_at is None:
            return self._seconds
        return min(self._seconds, (caller.expires_at - datetime.now(UTC)).total_seconds())


def _keep(cache: OrderedDict[Any, Any], key: object, value: object, size: int) -> None:
    """Put it last in line for being dropped when there is no more room."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > size:
        cache.popitem(last=False)
