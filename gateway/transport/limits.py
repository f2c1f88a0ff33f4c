"""What one connection may cost, before anybody knows who is there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """All times are in seconds, and sizes in bytes."""

    #: Connections of a process, streams among them.
    max_connections: int = 25_000
    #: How long the head of a request may take to arrive, and a body that nobody waits for any more.
    head_seconds: float = 10.0
    #: How long a connection without a request is kept.
    keep_alive_seconds: int = 5
    max_url_bytes: int = 16 * 1024
    max_header_bytes: int = 64 * 1024
    max_headers: int = 100
