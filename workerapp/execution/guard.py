"""The SSRF guard at the socket: names are resolved once, and only addresses that were checked are connected to."""

from __future__ import annotations

import socket
from typing import Any

from aiohttp import AddrInfoType, TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from workerapp.contract.outbound import OutboundPolicy, OutboundRefused


class RefusedAddress(OSError):
    """The last wall: a socket was about to be opened to an address that may not be called."""


class GuardedResolver(AbstractResolver):
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


def guarded_connector(policy: OutboundPolicy, *, dns_seconds: int, keepalive_seconds: float) -> TCPConnector:
    """A pool without a size: whoever asks decides how many requests run at once."""

    def open_socket(addr_info: AddrInfoType) -> socket.socket:
        # Literal addresses never reach the resolver; every connection comes through here.
        family, kind, protocol, _, address = addr_info
        _check(policy, address)
        return socket.socket(family, kind, protocol)

    return TCPConnector(
        resolver=GuardedResolver(policy),
        socket_factory=open_socket,
        ttl_dns_cache=dns_seconds,
        keepalive_timeout=keepalive_seconds,
        limit=0,
    )


def _check(policy: OutboundPolicy, address: tuple[Any, ...]) -> None:
    try:
        policy.check_address(str(address[0]))
    except OutboundRefused as exc:
        raise RefusedAddress(str(exc)) from exc
