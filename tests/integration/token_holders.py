"""Tokens of an identity provider, and clients that hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.rest import Gateway
from tests.stack.identity_provider import signing_key

ES, RS, ED = signing_key("es"), signing_key("rs", "RS256"), signing_key("ed", "EdDSA")


@asynccontextmanager
async def holding(running: Gateway, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends the token."""
    async with running.client() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def refusal(running: Gateway, token: str) -> httpx.Response:
    async with holding(running, token) as client:
        return await client.get("/v1/tasks")
