"""kombu's Redis transport, with channels that outlive their connection as those of other transports do.

A worker that loses Redis closes its connection twice, and tasks that still run acknowledge on the closed channel later.
kombu's channel then asks a connection that is gone for its address; that is none of the errors Celery expects, and it
ends the worker. Here it is an error of the connection: the worker connects anew, and the message comes again.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, _transport_cache, redis


class Channel(redis.Channel):
    """Says that its connection is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        _check(self)
        return super()._connparams(asynchronous)


class SentinelChannel(redis.SentinelChannel):
    """Says that its connection is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        _check(self)
        return super()._connparams(asynchronous)


class Transport(redis.Transport):
    """For `redis://` and `rediss://`."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """For `sentinel://`."""

    Channel = SentinelChannel


def register() -> None:
    """Let the schemes of Redis mean these transports in this process."""
    for name in ("redis", "rediss"):
        TRANSPORT_ALIASES[name] = f"{__name__}:Transport"
        _transport_cache.pop(name, None)
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"
    _transport_cache.pop("sentinel", None)


def _check(channel: Any) -> None:
    if channel.connection is None or channel.connection.client is None:
        raise ConnectionError("the connection of this channel is closed")
