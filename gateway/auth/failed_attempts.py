"""Bounds how many keys and tokens that are not good an address may try: each may cost a look at the database."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

from starlette.requests import HTTPConnection

from gateway.errors import KeyMissing, Unauthorized
from gateway.metrics import Metrics
from gateway.quotas.buckets import Buckets, Clock, Rate
from gateway.quotas.refusals import Limit, TooManyFailedAttempts

_MOST_ADDRESSES = 100_000
#: Who has one IPv6 address has as many as are left in its network.
_IPV6_NETWORK_BITS = 64
_LONGEST = 60


class FailedAttempts:
    """The addresses that failed last, in one gateway process.

    What this process has found good is let through, so that nobody locks its holder out from the same address.
    """

    def __init__(self, has_met: Callable[[str], bool], metrics: Metrics, rate: Rate, clock: Clock) -> None:
        """`has_met`: whether a key or token was good when it was last looked at."""
        self._has_met = has_met
        self._metrics = metrics
        self._rate = rate
        self._failed: Buckets[str] = Buckets(_MOST_ADDRESSES, clock)

    @contextmanager
    def watch(self, connection: HTTPConnection, credential: str | None) -> Iterator[None]:
        """Count it if the block finds that nobody known is asking; `credential`: what stands in `Authorization`.

        Raises:
            TooManyFailedAttempts: the address has failed too often.
        """
        address = _address_of(connection)
        if address is not None:
            self._check(address, credential)
        try:
            yield
        except KeyMissing:
            raise  # that costs nothing, and is how clients find out what is needed
        except Unauthorized:
            if address is not None:
                self._failed.take(address, self._rate)
            raise

    def _check(self, address: str, credential: str | None) -> None:
        level = self._failed.level(address, self._rate)
        if level.wait == 0 or (credential is not None and self._has_met(credential)):
            return
        self._metrics.reach(Limit.FAILED_ATTEMPTS)
        seconds = math.ceil(level.wait)
        raise TooManyFailedAttempts(
            f"Too many keys and tokens that are not good came from your address; try again after {seconds} s.", seconds
        )


def _address_of(connection: HTTPConnection) -> str | None:
    """The client's address, or its network; a socket without one is a proxy's of this machine."""
    if connection.client is None:
        return None
    host = connection.client.host[:_LONGEST]
    try:
        address = ip_address(host)
    except ValueError:
        return host  # whatever a trusted proxy tells
    if not isinstance(address, IPv6Address) or address.ipv4_mapped is not None:
        return host
    return str(int(address) >> _IPV6_NETWORK_BITS)
