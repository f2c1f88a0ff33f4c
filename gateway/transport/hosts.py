"""The names a gateway is asked by, and the proxies that are believed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Self

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
#: What comes before an IPv4 address where a socket speaks both versions.
_MAPPED, _MAPPED_BITS = "::ffff:", 96


@dataclass(frozen=True, slots=True)
class Hosts:
    """Names, and `*.` patterns, without ports; no name at all is every name."""

    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, words: Iterable[str]) -> Self:
        """Read the setting.

        Raises:
            ValueError: something is no host; the sentence says what one looks like.
        """
        names = frozenset(word.lower() for word in words)
        for name in sorted(names):
            if not _HOST.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a host, such as gateway.example.com, *.example.com or [::1]; no port"
                )
        return cls(names)

    def include(self, host_header: str) -> bool:
        """Whether a request for this host is for us."""
        if not self.names:
            return True
        host = re.sub(r":[0-9]*$", "", host_header.strip().lower()).removesuffix(".")
        parents = (host[dot.start() :] for dot in re.finditer(r"\.", host))
        return host in self.names or any(f"*{parent}" in self.names for parent in parents)


def read_proxies(words: Iterable[str]) -> tuple[str, ...]:
    """The networks of proxies that are believed what they say of their clients, as a socket may tell them.

    Raises:
        ValueError: something is no network.
    """
    networks = []
    for word in words:
        try:
            network = ip_network(word)
        except ValueError:
            raise ValueError(f"{word!r} is not an address or a network in CIDR notation, such as 10.0.0.0/8") from None
        networks.append(str(network))
        if isinstance(network, IPv4Network):
            networks.append(f"{_MAPPED}{network.network_address}/{_MAPPED_BITS + network.prefixlen}")
    return tuple(networks)
