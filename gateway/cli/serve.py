"""Serve the HTTP API with the settings of the environment and `.env`; workers are started by themselves."""

from __future__ import annotations

import argparse
import logging
import socket
from pathlib import Path

from gateway.app import create_app
from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.own_address import add_address_arguments
from gateway.settings import SettingsInvalid, load_gateway_settings
from gateway.stream.server import (
    Certificate,
    CertificateUnusable,
    PortUnavailable,
    Server,
    listen,
    server_config,
)
from workerapp.contract.logs import configure_logging

logger = logging.getLogger(__name__)

DEFAULT_PORT = 8080


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_address_arguments(parser, DEFAULT_PORT)
    parser.add_argument("--fd", type=int, help="serve on this inherited listening socket instead")
    parser.add_argument("--tls-certificate", type=Path, metavar="PATH", help="serve HTTPS with this certificate (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="PATH", help="the certificate's key (PEM, without a password)")


def execute(options: argparse.Namespace) -> int:
    """Serve until asked to stop."""
    try:
        certificate = _certificate(options)
        settings = load_gateway_settings()
        configure_logging(settings.log_level.upper(), settings.log_format)
        listener = (
            listen(options.host, options.port, settings.stream)
            if options.fd is None
            else socket.socket(fileno=options.fd)
        )
    except (SettingsInvalid, CertificateUnusable, PortUnavailable, OSError, OverflowError) as error:
        raise CommandFailed(str(error)) from error
    if options.fd is None:
        logger.info("serving", extra={"url": _url(listener, "http" if certificate is None else "https")})
    app = create_app(settings)
    config = server_config(app, settings.stream, settings.connection, proxies=settings.proxies, certificate=certificate)
    Server(config, app.state.hub, settings.stream).run(sockets=[listener])
    return ExitStatus.OK


def _certificate(options: argparse.Namespace) -> Certificate | None:
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise CertificateUnusable("--tls-certificate and --tls-key belong together; give both, or none for HTTP.")
    if options.tls_certificate is None:
        return None
    certificate = Certificate(certificate=options.tls_certificate, key=options.tls_key)
    certificate.check()
    return certificate


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
