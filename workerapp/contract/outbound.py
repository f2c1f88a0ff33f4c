"""Which addresses the gateway may call on a tenant's behalf: the rules of the SSRF guard, without any network."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

# The HTTP client parses with yarl too: what is checked here is what will be asked.
from yarl import URL

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

SETTING = "GATEWAY_OUTBOUND_ALLOW"
PORTS_SETTING = "GATEWAY_OUTBOUND_REFUSED_PORTS"
MAX_URL_LENGTH = 2048
#: Where others than HTTP servers listen, who would make something of a request: files, shells, mail, caches.
REFUSED_PORTS = (21, 22, 23, 25, 110, 143, 465, 587, 993, 995, 2525, 6379, 11211)

_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}")
#: A last label like this makes a resolver read the whole as an IPv4 address: 127.1, 2130706433, 0x7f000001, 0177.0.0.1.
_NUMERIC_HOST = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_LOOPBACKS = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def _ranges(*rows: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(cidr), kind) for cidr, kind in rows)


#: Our own table and not `ip.is_private`, whose meaning changed between Python releases. The first match names the kind.
_REFUSED = _ranges(
    ("0.0.0.0/8", "an unspecified"),
    ("10.0.0.0/8", "a private"),
    ("100.64.0.0/10", "a carrier-grade NAT"),
    ("127.0.0.0/8", "a loopback"),
    ("168.63.129.16/32", "a cloud metadata"),
    ("169.254.0.0/16", "a link-local"),
    ("172.16.0.0/12", "a private"),
    ("192.0.0.0/24", "a reserved"),
    ("192.0.2.0/24", "a documentation"),
    ("192.88.99.0/24", "a reserved"),
    ("192.168.0.0/16", "a private"),
    ("198.18.0.0/15", "a benchmark"),
    ("198.51.100.0/24", "a documentation"),
    ("203.0.113.0/24", "a documentation"),
    ("224.0.0.0/4", "a multicast"),
    ("240.0.0.0/4", "a reserved"),
    ("::/128", "an unspecified"),
    ("::1/128", "a loopback"),
    ("fe80::/10", "a link-local"),
    ("fec0::/10", "a private"),
    ("fc00::/7", "a private"),
    ("ff00::/8", "a multicast"),
    ("2001:db8::/32", "a documentation"),
    ("3fff::/20", "a documentation"),
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_PROTOCOL_V6 = IPv6Network("2001::/23")
_TEREDO = IPv6Network("2001::/32")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
#: The middle of an address of ISATAP, which ends in an IPv4 address; one bit may be set or not.
_ISATAP, _ISATAP_MASK = 0x00005EFE, 0xFDFFFFFF


class OutboundRefused(ValueError):
    """The URL or the address may not be called; the message says why and what would be right."""


def _low_ipv4(ip: IPv6Address) -> IPv4Address:
    return IPv4Address(int(ip) & 0xFFFFFFFF)


def _local_nat64(ip: IPv6Address) -> tuple[Address, ...]:
    # Such a prefix may be used as a /48 (RFC 6052 splits the IPv4 address around bits 64 to 71) or as a /96.
    number = int(ip)
    split = (number >> 64 & 0xFFFF) << 16 | (number >> 40 & 0xFFFF)
    return (IPv4Address(split), _low_ipv4(ip))


def _unwrap(ip: Address) -> tuple[Address, ...]:
    """The addresses a packet to `ip` may end at: those inside it when it is a tunnel or a translation, else itself."""
    if isinstance(ip, IPv4Address):
        return (ip,)
    embedded = ip.ipv4_mapped or ip.sixtofour
    if embedded is not None:
        return (embedded,)
    if ip in _TEREDO:
        return (IPv4Address(int(ip) >> 64 & 0xFFFFFFFF), IPv4Address(~int(ip) & 0xFFFFFFFF))
    if ip in _LOCAL_NAT64:
        return _local_nat64(ip)
    if ip in _NAT64 or (ip in _COMPATIBLE and int(ip) > 1):
        return (_low_ipv4(ip),)
    is_isatap = int(ip) >> 32 & _ISATAP_MASK == _ISATAP
    return (ip, _low_ipv4(ip)) if is_isatap else (ip,)


def _refusal(ip: Address) -> str | None:
    """What kind of address this is, when it is one that is not called unless it is allowed."""
    for network, kind in _REFUSED:
        if ip in network:
            return kind
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_V6:
        return "a reserved"
    if ip in _PROTOCOL_V6 and ip not in _TEREDO:
        return "a reserved"
    return None


def _parse_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        suggestion = f"; did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        suggestion = ", for example 10.0.0.0/8 or fd00::/8"
    raise ValueError(f"{SETTING}: {text!r} is not a network in CIDR notation{suggestion}")


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Public addresses may be called; others only where a network in `allow` contains them."""

    allow: tuple[Network, ...] = ()
    refused_ports: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, setting: str, refused_ports: Iterable[int] = ()) -> OutboundPolicy:
        """Read the comma separated CIDRs of GATEWAY_OUTBOUND_ALLOW."""
        parts = (part.strip() for part in setting.split(","))
        return cls(tuple(_parse_network(part) for part in parts if part), frozenset(refused_ports))

    def check_address(self, ip: Address | str) -> None:
        """Refuse an address that is not public and not allowed."""
        address = ip_address(ip) if isinstance(ip, str) else ip
        for meant in _unwrap(address):
            if any(meant in network for network in self.allow):
                continue
            kind = _refusal(meant)
            if kind is not None:
                through = "" if meant == address else f" (through {address})"
                raise OutboundRefused(
                    f"{meant}{through} is {kind} address and may not be called; "
                    f"an operator can allow its network with {SETTING}"
                )

    def check_port(self, port: int) -> None:
        """Refuse a port where something other than HTTP is served."""
        if port in self.refused_ports:
            raise OutboundRefused(
                f"port {port} may not be called, for it is another protocol's; an operator can change {PORTS_SETTING}"
            )

    def check_url(self, url: str) -> None:
        """Refuse a URL that cannot or may not be called. A name is checked again, by address, at every connect."""
        parsed = _parse(url)
        self.check_port(parsed.port or 0)
        host = _host_of(parsed)
        if _NUMERIC_HOST.fullmatch(host) or ":" in host:
            self.check_address(_literal(host))
        elif host == "localhost" or host.endswith(".localhost"):
            self._check_localhost(host)

    def _check_localhost(self, host: str) -> None:
        if not any(ip in network for ip in _LOOPBACKS for network in self.allow):
            raise OutboundRefused(
                f"{host} is this machine and may not be called; an operator can allow it with {SETTING}=127.0.0.0/8,::1"
            )


def _parse(url: str) -> URL:
    if len(url) > MAX_URL_LENGTH:
        raise OutboundRefused(f"the URL has {len(url)} characters; at most {MAX_URL_LENGTH} are accepted")
    if not url.isprintable() or any(character.isspace() for character in url):
        raise OutboundRefused("the URL contains a space or a control character")
    try:
        parsed = URL(url)
    except ValueError as exc:
        raise OutboundRefused(f"the URL cannot be read: {exc}") from None
    _check_parts(parsed)
    return parsed


def _host_of(url: URL) -> str:
    host = (url.raw_host or "").lower().rstrip(".")
    if ":" not in host and not _HOST.fullmatch(host):
        raise OutboundRefused(f"the URL's host {url.host!r} is not a host name or an IP address")
    return host


def _check_parts(url: URL) -> None:
    if url.scheme not in {"http", "https"}:
        raise OutboundRefused(f"the URL's scheme is {url.scheme!r}; it must be http or https")
    if not url.raw_host:
        raise OutboundRefused("the URL has no host; expected something like https://api.example.com/v1/chat")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise OutboundRefused("the URL contains a user name or password; send credentials in a header")
    if url.explicit_port == 0:
        raise OutboundRefused("the URL's port is 0; it must be between 1 and 65535")


def _literal(host: str) -> Address:
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        meant = IPv4Address(socket.inet_aton(host))
    except OSError:
        raise OutboundRefused(f"the URL's host {host!r} is neither a host name nor an IP address") from None
    # Only the canonical form is asked, so that nobody downstream can read it differently.
    raise OutboundRefused(f"the URL's host {host!r} is an unusual way to write {meant}; write the address in full")
