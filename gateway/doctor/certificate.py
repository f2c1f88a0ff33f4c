"""The certificate of a gateway, or of the proxy before it: believed, and good for some time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from datetime import timedelta

import httpx
from cryptography import x509

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.setup import Server, Setup, first_line

_SOON = timedelta(days=14)


def look_at_certificate(setup: Setup, server: Server) -> Iterable[Finding]:
    """Whether clients believe it, and until when."""
    url = httpx.URL(server.url)
    if url.scheme != "https":
        yield ok("no TLS: the address is http://")
        return
    try:
        _handshake(url, ssl.create_default_context(), setup.patience / 3)
    except ssl.SSLCertVerificationError as error:
        yield problem(
            f"the certificate is not believed: {error.verify_message}",
            "install one for this name with those that signed it, or make its authority known (SSL_CERT_FILE)",
        )
    except OSError as error:
        yield problem(f"there is no TLS at {server.url}: {first_line(error)}", "correct the address or its port")
        return
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    until = x509.load_der_x509_certificate(_handshake(url, trusting, setup.patience / 3)).not_valid_after_utc
    left = until - setup.clock()
    told = f"the certificate is good until {until:%Y-%m-%d %H:%M} UTC"
    mend = "renew it, and restart what serves with it"
    if left < timedelta():
        yield problem(f"the certificate expired on {until:%Y-%m-%d}", mend)
    else:
        yield ok(told) if left >= _SOON else warning(told, mend)


def _handshake(url: httpx.URL, context: ssl.SSLContext, seconds: float) -> bytes:
    """The certificate that the other side shows."""
    with (
        socket.create_connection((url.host, url.port or 443), timeout=seconds) as connection,
        context.wrap_socket(connection, server_hostname=url.host) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""
