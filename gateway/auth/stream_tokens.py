"""Makes stream tokens and opens them, with signing keys that every gateway on the database shares."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.auth.keys import Scope
from gateway.auth.stream_token import Grant, Malformed, Member, SigningKey, parse_token, write_token
from gateway.errors import NotReady, TokenExpired, TokenInvalid
from gateway.stream.subject import Subject
from workerapp.contract.caller import Caller

_KEYS = text("SELECT id, secret FROM stream_token_keys()")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A token for every stream of an organization."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Issuer:
    """Makes tokens for one caller; they are good for no longer than the caller's own credential is."""

    caller: Caller
    key: SigningKey
    #: How long a subject's token is good, at most.
    seconds: float

    def for_subject(self, subject: Subject) -> str:
        """A token for the stream of one subject and nothing else."""
        return write_token(self._grant(subject, self.seconds), self.key)

    def for_organization(self, seconds: float) -> Ticket:
        """A token for every stream of the caller's organization."""
        grant = self._grant(None, seconds)
        return Ticket(token=write_token(grant, self.key), expires_at=datetime.fromtimestamp(grant.expires_at, UTC))

    def _grant(self, subject: Subject | None, seconds: float) -> Grant:
        caller, ends_at = self.caller, time.time() + seconds
        if caller.expires_at is not None:
            ends_at = min(ends_at, caller.expires_at.timestamp())
        if caller.key_id is not None:
            return Grant(key_id=caller.key_id, expires_at=int(ends_at), subject=subject)
        member = Member(organization_id=caller.organization_id, may_watch=Scope.EVENTS_READ in caller.scopes)
        return Grant(member=member, expires_at=int(ends_at), subject=subject)


class StreamTokens:
    """Knows the signing keys; looks for new ones every few seconds, and when a token names one it does not know."""

    def __init__(self, engine: AsyncEngine, *, seconds: float, cache_seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._cache_seconds = cache_seconds
        self._keys: dict[int, SigningKey] = {}
        self._known_until = 0.0

    async def issuer(self, caller: Caller) -> Issuer:
        """What makes tokens for the caller; ask before a transaction, for this may need a connection of its own.

        Raises:
            NotReady: somebody has deleted every signing key.
        """
        keys = await self._current()
        if not keys:
            raise NotReady("The database has no key that signs stream tokens; docs/security.md tells how to make one.")
        return Issuer(caller=caller, key=keys[max(keys)], seconds=self._seconds)

    async def open(self, token: str) -> Grant:
        """What the token opens, if its API key is still good.

        Raises:
            TokenInvalid: it was not signed here, or by a key that is gone.
            TokenExpired: its time is over.
        """
        try:
            signed = parse_token(token)
            grant = signed.open(await self._find(signed.signing_key_id))
        except Malformed:
            raise TokenInvalid("This is not a stream token of this server; submissions answer them.") from None
        if grant.expires_at <= time.time():
            raise TokenExpired("The stream token has expired; POST /v1/stream-tickets makes a new one.")
        return grant

    async def _find(self, key_id: int) -> SigningKey:
        keys = await self._current()
        if key_id not in keys:
            keys = await self._load()
        if key_id not in keys:
            raise Malformed
        return keys[key_id]

    async def _current(self) -> dict[int, SigningKey]:
        return self._keys if time.monotonic() < self._known_until else await self._load()

    async def _load(self) -> dict[int, SigningKey]:
        async with self._engine.connect() as connection:
            rows = await connection.execute(_KEYS)
            self._keys = {row.id: SigningKey(row.id, row.secret) for row in rows}
        self._known_until = time.monotonic() + self._cache_seconds
        return self._keys
