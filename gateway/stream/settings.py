"""The limits and rhythms of streams, with the defaults a production gateway starts from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSettings:
    """All times are in seconds."""

    # The tail.
    poll_busy: float = 0.025
    poll_idle: float = 1.0
    #: However many hints come in, the pause between two reads is at least this long.
    poll_spacing: float = 0.005
    #: A read that takes longer means a dead connection.
    poll_timeout: float = 5.0
    connect_timeout: float = 5.0
    reconnect_first: float = 0.1
    reconnect_longest: float = 10.0
    #: How old the last successful read may be before the process counts as not ready.
    live_within: float = 10.0
    #: Events read and published at once; below `queue_events`, or a catch-up would overrun streams that keep up.
    tail_page: int = 200

    # One stream.
    queue_events: int = 256
    queue_bytes: int = 256 * 1024
    replay_page: int = 200
    #: Events looked at for one page, where a filter lets few of them pass.
    replay_scan: int = 2000
    keep_alive: float = 15.0
    send_timeout: float = 15.0
    #: A stream ends after this time (less up to a tenth, so that not all do at once); the client resumes.
    max_age: float = 1800.0
    #: What `retry:` tells clients, give or take a half.
    retry: float = 3.0

    # All streams of a process: each subscription of a WebSocket counts as one, and each request that waits.
    max_streams: int = 20_000
    max_streams_per_organization: int = 5_000
    #: Subscriptions of one WebSocket.
    max_subscriptions: int = 200
    #: The largest message a WebSocket's client may send, in bytes.
    max_message_bytes: int = 64 * 1024

    # The server.
    #: How long a shutdown waits for the streams to say that they end, before it ends the connections.
    drain_timeout: float = 5.0
    #: How long a shutdown waits for responses that clients do not take.
    shutdown_timeout: int = 10
    #: What was sent and not acknowledged for this long ends a connection.
    tcp_user_timeout: float = 15.0
    backlog: int = 2048
