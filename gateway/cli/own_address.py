"""Where what listens on this machine is reached from this machine."""

from __future__ import annotations

import socket

#: All addresses of this machine by which only itself reaches it.
LOOPBACK = "127.0.0.0/8,::1/128"
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def own_url(host: str, listener: socket.socket) -> str:
    """The URL of a listening socket; one that listens everywhere is reached at the loopback address."""
    reachable = _EVERY_ADDRESS.get(host, host)
    port = listener.getsockname()[1]
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
