"""Reads what an issuer publishes: where its keys are, and the keys; without trust in their size, speed or form."""

from __future__ import annotations

import asyncio
import json

import httpx

from gateway.auth.jwt_issuer import JwtIssuer
from gateway.auth.key_set import Json, KeySet, read_key_set


class IssuerUnreachable(Exception):
    """The issuer's keys cannot be read at the moment; the message says why, for the log."""


class IssuerDocuments:
    """Reads those of one issuer; `seconds` is the time for all of them, `max_bytes` the size of each."""

    def __init__(self, issuer: JwtIssuer, *, seconds: float, max_bytes: int) -> None:
        self.issuer = issuer
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._client = httpx.AsyncClient(headers={"Accept": "application/json"}, timeout=seconds)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def read_keys(self) -> KeySet:
        """The issuer's keys as they are now.

        Raises:
            IssuerUnreachable: they cannot be read, or none of them can be used.
        """
        try:
            async with asyncio.timeout(self._seconds):
                url = self.issuer.jwks_url or await self._discover()
                found = read_key_set(await self._get(url), self.issuer.algorithms)
        except TimeoutError:
            raise IssuerUnreachable(f"no answer within {self._seconds:g} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise IssuerUnreachable(f"{type(error).__name__}: {error}") from error
        if not found.keys:
            raise IssuerUnreachable(f"{url} has no key for {', '.join(self.issuer.algorithms)}")
        return found

    async def _discover(self) -> str:
        issuer = self.issuer
        document = await self._get(issuer.discovery_url)
        if document.get("issuer") != issuer.issuer:
            raise IssuerUnreachable(f'{issuer.discovery_url} is the document of "{document.get("issuer")}"')
        url = str(document.get("jwks_uri"))
        try:
            issuer.check_url(url)
        except ValueError as error:
            raise IssuerUnreachable(f"jwks_uri in {issuer.discovery_url}: {error}") from None
        return url

    async def _get(self, url: str) -> Json:
        """A JSON object. Redirects are not followed: where they lead the operator has not said."""
        body = bytearray()
        async with self._client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise IssuerUnreachable(f"{url} answers {response.status_code}")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > self._max_bytes:
                    raise IssuerUnreachable(f"{url} is larger than {self._max_bytes} bytes")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise IssuerUnreachable(f"{url} is not JSON") from None
        if not isinstance(document, dict):
            raise IssuerUnreachable(f"{url} is not a JSON object")
        return document
