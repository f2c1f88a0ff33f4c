"""The HTTP server of a process that streams: its listening socket, and a shutdown that cuts nobody off."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.stream.hub import Hub
from gateway.stream.settings import StreamSettings
from gateway.transport.connection import BoundedConnection
from gateway.transport.limits import ConnectionLimits
from gateway.transport.newcomers import keep_out, let_in

#: In which a connection that is being made is made.
_HANDSHAKE_SECONDS = 0.05
_LOOK_SECONDS = 0.05


class PortUnavailable(Exception):
    """Nobody can listen there; the message says why."""


class CertificateUnusable(Exception):
    """The certificate or its key cannot be used; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """Files with a certificate and those that signed it, and with its key, in PEM."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Read them, as the server will.

        Raises:
            CertificateUnusable: there is none, or the key is another's or needs a password.
        """
        try:
            # An empty password is no key's; without any, OpenSSL would ask for one at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:
            reason = error.strerror or str(error)
            raise CertificateUnusable(
                f"Cannot use the certificate {self.certificate} with {self.key}: {reason}."
            ) from error


def server_config(
    app: ASGIApp,
    settings: StreamSettings,
    limits: ConnectionLimits,
    *,
    proxies: Sequence[str] = (),
    certificate: Certificate | None = None,
) -> uvicorn.Config:
    """How uvicorn serves the application: WebSockets take small messages only, and are not compressed.

    Compression would triple the memory of an idle connection. `proxies` are networks that are believed what they say of
    their clients. Nothing is taken from the environment.
    """
    # uvicorn calls it as it would the class.
    connection: Any = partial(BoundedConnection, limits=limits)
    return uvicorn.Config(
        app,
        http=connection,
        lifespan="on",
        timeout_keep_alive=limits.keep_alive_seconds,
        workers=1,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ssl_certfile=None if certificate is None else certificate.certificate,
        ssl_keyfile=None if certificate is None else certificate.key,
        ws="websockets-sansio",
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
    )


class Server(uvicorn.Server):
    """Ends the streams itself: uvicorn waits for open responses before it tells the application to stop."""

    def __init__(self, config: uvicorn.Config, hub: Hub, settings: StreamSettings | None = None) -> None:
        super().__init__(config)
        self._hub = hub
        self._drain_timeout = (settings or StreamSettings()).drain_timeout
        # Of WebSockets it writes the whole URL at INFO and the headers at DEBUG: tokens and keys would be among them.
        uvicorn_log = logging.getLogger("uvicorn.error")
        uvicorn_log.setLevel(max(uvicorn_log.level, logging.WARNING))
        if config.timeout_graceful_shutdown is None:
            config.timeout_graceful_shutdown = (settings or StreamSettings()).shutdown_timeout

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; a process before this one may have been killed while it kept newcomers out of the same socket."""
        for listener in sockets or []:
            let_in(listener)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, end the streams, then what connections are left, then the application."""
        await self._stop_listening(sockets or [])
        self._hub.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_timeout):
                await self._wait_until_left()
        await super().shutdown(sockets)

    async def _stop_listening(self, listeners: list[socket.socket]) -> None:
        """From then on newcomers are refused; whoever came before is let in."""
        are_kept_out = [keep_out(listener) for listener in listeners]
        if all(are_kept_out):
            await asyncio.sleep(_HANDSHAKE_SECONDS)
        for listener in listeners:
            let_in(listener)
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()

    async def _wait_until_left(self) -> None:
        """Return when the last connection was closed by its client, or behind an answer that said so."""
        while (connections := [*self.server_state.connections]) and not self.force_exit:
            for connection in connections:
                if isinstance(connection, BoundedConnection):
                    connection.leave()
                elif self._hub.is_empty:
                    # A WebSocket, whose streams have said that they end.
                    connection.shutdown()
            await asyncio.sleep(_LOOK_SECONDS)


def listen(host: str, port: int, settings: StreamSettings | None = None) -> socket.socket:
    """A listening socket whose connections end when the other side is gone; port 0 takes a free one.

    Raises:
        PortUnavailable: the address is in use, or not this machine's.
    """
    settings = settings or StreamSettings()
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        _prepare(listener, settings)
        listener.bind((host, port))
        listener.listen(settings.backlog)
    except OSError as error:
        listener.close()
        raise PortUnavailable(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another port.") from error
    return listener


def _prepare(listener: socket.socket, settings: StreamSettings) -> None:
    """Connections inherit these options.

    Without a user timeout a client that stops reading keeps its connection, and what is buffered for it, for ever.
    Without the no-delay option a small answer may wait 40 ms for company.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(settings.tcp_user_timeout * 1000))
