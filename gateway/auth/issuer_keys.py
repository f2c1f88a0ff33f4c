"""Remembers the keys of one issuer, notices when it has new ones, and bridges the times when it cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass

from jwt import PyJWK

from gateway.auth.issuer_documents import IssuerDocuments, IssuerUnreachable
from gateway.auth.jwt_errors import IssuerUnavailable, JwtInvalid
from gateway.auth.key_set import KeySet

logger = logging.getLogger(__name__)

_NO_KEYS = KeySet({})


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRhythm:
    """When keys are fetched again; in seconds."""

    #: After which they are fetched again.
    max_age: float
    #: How much longer they serve if that fails.
    stale: float
    #: The shortest time between two attempts, also for a key that is not among them.
    pause: float


class IssuerKeys:
    """The keys of one issuer. However many requests need them, one of them fetches."""

    def __init__(self, documents: IssuerDocuments, rhythm: KeyRhythm) -> None:
        self.issuer = documents.issuer
        self._documents = documents
        self._rhythm = rhythm
        self._keys = _NO_KEYS
        self._fetched_at = self._asked_at = -math.inf
        self._has_failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK:
        """The key that a token names, for its algorithm.

        Raises:
            JwtInvalid: the issuer has no such key.
            IssuerUnavailable: the issuer cannot be asked whether it has.
        """
        is_unknown = key_id is not None and not self._keys.has(key_id)
        if is_unknown or self._age() > self._rhythm.max_age:
            await self._refresh()
        keys = self._usable()
        key = keys.find(key_id, algorithm)
        if key is None:
            raise self._refusal(keys, key_id)
        return key

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        await self._documents.close()

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _usable(self) -> KeySet:
        if self._has_failed and self._age() > self._rhythm.max_age + self._rhythm.stale:
            raise self._unavailable()
        return self._keys

    def _refusal(self, keys: KeySet, key_id: str | None) -> Exception:
        if key_id is None:
            return JwtInvalid(
                "The token does not say which key has signed it (kid), and not just one of its issuer's could have."
            )
        if keys.has(key_id):
            return JwtInvalid("The key that the token names (kid) is not one for its algorithm (alg).")
        if self._has_failed:
            return self._unavailable()
        return JwtInvalid("The token is signed with a key (kid) that its issuer does not publish.")

    def _unavailable(self) -> IssuerUnavailable:
        wait = self._asked_at + self._rhythm.pause - time.monotonic()
        return IssuerUnavailable(
            "The keys of the token's issuer cannot be fetched at the moment; try again shortly.",
            max(1, math.ceil(wait)),
        )

    async def _refresh(self) -> None:
        """Fetch, or wait for who does; but not so soon after the last attempt."""
        if self._fetching is None:
            if time.monotonic() - self._asked_at < self._rhythm.pause:
                return
            self._asked_at = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch(), name="issuer-keys")
        # Others may wait for it: it goes on when this request is given up.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        about = {"issuer": self.issuer.issuer}
        try:
            self._keys = await self._documents.read_keys()
        except IssuerUnreachable as error:
            self._has_failed = True
            logger.warning("issuer_unreachable", extra=about | {"reason": str(error)})
        else:
            self._has_failed = False
            self._fetched_at = time.monotonic()
            logger.info("issuer_keys_fetched", extra=about | {"keys": len(self._keys.keys)})
        finally:
            self._fetching = None
