"""Where a command listens on this machine, and how that is reached from this machine."""

from __future__ import annotations

import argparse
import socket

DEFAULT_HOST = "127.0.0.1"

#: All addresses of this machine by which only itself reaches it.
LOOPBACK = "127.0.0.0/8,::1/128"
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def add_host_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"the address to listen on (default: {DEFAULT_HOST})")


def add_address_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """Declare the options, with the port that is the default."""
    add_host_argument(parser)
    parser.add_argument(
        "--port", type=int, default=port, help=f"the port to listen on, 0 for a free one (default: {port})"
    )


def own_url(host: str, listener: socket.socket) -> str:
    """The URL of a listening socket; one that listens everywhere is reached at the loopback address."""
    reachable = _EVERY_ADDRESS.get(host, host)
    port = listener.getsockname()[1]
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
