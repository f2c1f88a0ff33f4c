"""API keys: their form, and who a key belongs to."""

from __future__ import annotations

import hashlib
import secrets
import string
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from workerapp.contract.caller import Caller

MARK = "tsg_"
SECRET_BYTES = 32
PREFIX_LENGTH = 8
MAX_LENGTH = 200

_ALPHABET = string.digits + string.ascii_letters
_FIND = text("SELECT k.*, touch_api_key(k.id) FROM find_api_key(:key) AS k")
_FIND_BY_ID = text("SELECT k.*, touch_api_key(k.id) FROM find_api_key_by_id(:key) AS k")


class Scope(StrEnum):
    """What a key lets its holder do."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    #: Everything under `/v1/admin`, which crosses organizations: for operators, never given unasked.
    ADMIN = "admin"


#: What a key gets that asks for nothing else; all of it stays within the key's organization.
TENANT_SCOPES = (Scope.READ, Scope.WRITE, Scope.EXECUTE)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSecret:
    """A key in the clear, which nobody can show again, and what is stored of it."""

    secret: str
    prefix: str
    hash: bytes


def new_secret() -> NewSecret:
    """Draw a key of 256 random bits: `tsg_`, eight characters to recognize it by, and the secret."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH))
    secret = f"{MARK}{prefix}_{_base62(secrets.token_bytes(SECRET_BYTES))}"
    return NewSecret(secret=secret, prefix=prefix, hash=hash_of(secret))


def hash_of(secret: str) -> bytes:
    """What is stored and looked up; the secret has too many random bits for a slow hash to add anything."""
    return hashlib.sha256(secret.encode()).digest()


def _base62(value: bytes) -> str:
    number, digits = int.from_bytes(value), ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float


class KeyFinder:
    """Finds the caller of a key; remembers it for some seconds, so a busy key costs no query a request."""

    def __init__(self, engine: AsyncEngine, *, cache_seconds: float, cache_size: int) -> None:
        self._engine = engine
        self._seconds = cache_seconds
        self._size = cache_size
        #: By the hash of a key's secret, or by its id.
        self._known: OrderedDict[bytes | UUID, _Known] = OrderedDict()

    async def find(self, secret: str) -> Caller | None:
        """The caller, or none if the key is unknown, expired or revoked."""
        if not secret.startswith(MARK) or len(secret) > MAX_LENGTH or not secret.isascii():
            return None
        return await self._find(_FIND, hash_of(secret))

    async def find_by_id(self, key_id: UUID) -> Caller | None:
        """The caller whose key has this id, or none if it is unknown, expired or revoked."""
        return await self._find(_FIND_BY_ID, key_id)

    async def _find(self, statement: TextClause, key: bytes | UUID) -> Caller | None:
        known = self._known.get(key)
        if known is not None and time.monotonic() < known.until:
            return known.caller
        self._known.pop(key, None)
        return await self._look_up(statement, key)

    async def _look_up(self, statement: TextClause, key: bytes | UUID) -> Caller | None:
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement, {"key": key})).mappings().one_or_none()
        if row is None:
            return None
        caller = Caller(
            organization_id=row["organization_id"],
            user_id=row["user_id"],
            key_id=row["id"],
            scopes=frozenset(row["scopes"]),
        )
        self._remember(key, caller, row["expires_at"])
        return caller

    def _remember(self, key: bytes | UUID, caller: Caller, expires_at: datetime | None) -> None:
        seconds = self._seconds
        if expires_at is not None:
            seconds = min(seconds, (expires_at - datetime.now(UTC)).total_seconds())
        self._known[key] = _Known(caller, time.monotonic() + seconds)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
