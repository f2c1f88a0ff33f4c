"""Serve the HTTP API with the settings of the environment and `.env`; workers are started by themselves."""

from __future__ import annotations

import argparse
import logging
import socket

from gateway.app import create_app
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.settings import SettingsInvalid, load_gateway_settings
from gateway.stream.server import PortUnavailable, Server, listen, server_config
from workerapp.contract.logs import configure_logging

logger = logging.getLogger(__name__)

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8080


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"the address to listen on (default: {DEFAULT_HOST})")
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help=f"the port to listen on, 0 for a free one (default: {DEFAULT_PORT})",
    )
    parser.add_argument("--fd", type=int, help="serve on this inherited listening socket instead")


def execute(options: argparse.Namespace) -> int:
    """Serve until asked to stop."""
    try:
        settings = load_gateway_settings()
        configure_logging(settings.log_level.upper(), settings.log_format)
        listener = (
            listen(options.host, options.port, settings.stream)
            if options.fd is None
            else socket.socket(fileno=options.fd)
        )
    except (SettingsInvalid, PortUnavailable, OSError, OverflowError) as error:
        raise CommandFailed(str(error)) from error
    if options.fd is None:
        host, port = listener.getsockname()[:2]
        logger.info("serving", extra={"url": f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"})
    app = create_app(settings)
    Server(server_config(app, settings.stream), app.state.hub, settings.stream).run(sockets=[listener])
    return ExitStatus.OK
