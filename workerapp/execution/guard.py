"""The SSRF guard at the socket: names are resolved once, and only addresses that were checked are connected to.

Whoever calls out on a tenant's behalf does it through a `guarded_session`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import AddrInfoType, TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from workerapp.contract.outbound import OutboundPolicy, OutboundRefused
from workerapp.execution.own_sockets import open_own_socket
from workerapp.execution.trace import Content


class RefusedAddress(OSError):
    """The last wall: a socket was about to be opened to where nothing may be called."""


def guarded_session(
    policy: OutboundPolicy,
    *,
    timeout: aiohttp.ClientTimeout,
    headers: Mapping[str, str] | None = None,
    dns_seconds: int = 30,
    keepalive_seconds: float = 15.0,
) -> aiohttp.ClientSession:
    """A client that connects to nothing the policy refuses, keeps no cookies and uses no proxy of the environment.

    Three things are left to who sends: `policy.check_url` first, for a URL that is refused for its form;
    `allow_redirects=False`, since a redirect is checked as every address is, but takes the headers along; and
    `read_at_most` for the body, since only the head of an answer is bounded here (128 headers of 8 KB each). `timeout`
    should have a `total`.
    """
    return aiohttp.ClientSession(
        connector=_guarded_connector(policy, dns_seconds=dns_seconds, keepalive_seconds=keepalive_seconds),
        headers=headers,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


async def read_at_most(content: Content, limit: int) -> tuple[bytes, bool]:
    """A body, decompressed, and whether that is all of it; what is over the limit is never in memory."""
    payload = await content.readany()
    if content.at_eof() and len(payload) <= limit:
        return payload, True
    collected = bytearray(payload)
    while len(collected) <= limit and (chunk := await content.readany()):
        collected += chunk
    return bytes(collected[:limit]), len(collected) <= limit


async def read_for(seconds: float, content: Content, limit: int) -> tuple[bytes, bool]:
    """As much of a body as comes in that time, within the limit, and whether that is all of it."""
    collected = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(collected) <= limit:
                if not (chunk := await content.readany()):
                    return bytes(collected), True
                collected += chunk
    return bytes(collected[:limit]), False


class _GuardedResolver(AbstractResolver):
    """Leaves out what the policy refuses; refuses the name when nothing is left."""

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy, self._inner = policy, ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        allowed, refusal = [], None
        for result in await self._inner.resolve(host, port, family):
            try:
                self._policy.check_address(result["host"])
            except OutboundRefused as exc:
                refusal = exc
            else:
                allowed.append(result)
        if not allowed and refusal is not None:
            raise OutboundRefused(f"{host} resolves to an address that may not be called: {refusal}")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def _guarded_connector(policy: OutboundPolicy, *, dns_seconds: int, keepalive_seconds: float) -> TCPConnector:
    """A pool without a size: whoever asks decides how many requests run at once."""

    def open_socket(addr_info: AddrInfoType) -> socket.socket:
        # Literal addresses never reach the resolver; every connection comes through here.
        family, kind, protocol, _, address = addr_info
        _check(policy, address)
        return open_own_socket(family, kind, protocol)

    return TCPConnector(
        resolver=_GuardedResolver(policy),
        socket_factory=open_socket,
        ttl_dns_cache=dns_seconds,
        keepalive_timeout=keepalive_seconds,
        limit=0,
    )


def _check(policy: OutboundPolicy, address: tuple[Any, ...]) -> None:
    try:
        policy.check_address(str(address[0]))
        policy.check_port(int(address[1]))
    except OutboundRefused as exc:
        raise RefusedAddress(str(exc)) from exc
