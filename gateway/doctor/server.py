"""A gateway as its callers reach it: alive, ready, of this version, on time, and not behind a proxy that buffers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any

import httpx

from gateway.doctor.certificate import look_at_certificate
from gateway.doctor.finding import Finding, ok, problem, skipped, warning
from gateway.doctor.machine import DISTRIBUTION
from gateway.doctor.setup import Server, Setup, first_line

_STREAM = "/v1/events"
#: The gateway says something as soon as a stream is opened.
_FIRST_BYTES_WITHIN = 3.0
#: The header has whole seconds.
_SKEW_SECONDS = 3.0


def look_at_gateway(setup: Setup) -> Iterable[Finding]:
    """Whether it lives, can serve, and is what is installed here."""
    with _client(setup) as http:
        try:
            health = http.get("/healthz")
        except httpx.TransportError as error:
            yield problem(
                f"{http.base_url} cannot be reached: {first_line(error)}",
                "start it (`gateway serve`), correct the address, or open the way to it",
            )
            return
        if _json(health).get("status") != "ok":
            yield problem(
                f"{http.base_url} answered HTTP {health.status_code}, and not as a gateway does",
                "correct the address, or where the proxy there leads",
            )
            return
        yield from _readiness(http)
        yield from _clock(setup, health)
        yield from _versions(http)


def _readiness(http: httpx.Client) -> Iterable[Finding]:
    ready = http.get("/readyz")
    if ready.is_success:
        yield ok("it is alive and ready")
    else:
        yield problem(
            f"it is alive and not ready: {_json(ready).get('detail', f'HTTP {ready.status_code}')}",
            "run `gateway doctor` where it runs, with its settings; its log says why (not_ready)",
        )


def _clock(setup: Setup, response: httpx.Response) -> Iterable[Finding]:
    if "date" not in response.headers:
        yield skipped("its answers have no Date")
        return
    skew = (parsedate_to_datetime(response.headers["date"]) - setup.clock()).total_seconds()
    if abs(skew) > _SKEW_SECONDS:
        yield warning(
            f"its clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} this machine's",
            "let both take their time from NTP (`timedatectl set-ntp true`)",
        )
    else:
        yield ok("its clock and this machine's agree")


def _versions(http: httpx.Client) -> Iterable[Finding]:
    ours = version(DISTRIBUTION)
    theirs = _json(http.get("/")).get("version", "unknown")
    if theirs != ours:
        yield warning(f"it is version {theirs}, and this is {ours}", "install the same version everywhere")
    document = http.get("/openapi.yaml")
    told = _document_version(document.text) if document.is_success else f"HTTP {document.status_code}"
    if told != theirs:
        yield warning(
            f"its openapi.yaml is of version {told}, and it is {theirs}",
            "see whether the proxy keeps an old one, or has several versions of the gateway behind it",
        )
    elif theirs == ours:
        yield ok(f"it is version {theirs}, and so is its openapi.yaml")


def _document_version(text: str) -> str:
    """The one of `info`, which comes first; to read the whole as YAML would take seconds."""
    found = re.search(r"^  version: ['\"]?([^\s'\"]+)", text, re.MULTILINE)
    return "unknown" if found is None else found[1]


def look_at_stream(setup: Setup) -> Iterable[Finding]:
    """Whether the first bytes of a stream come at once: a proxy that buffers holds them back."""
    server = _server(setup)
    if not server.api_key:
        yield skipped("streams need a key", "name one with the scope events:read: GATEWAY_API_KEY, or --api-key")
        return
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {server.api_key}"}
    patience = httpx.Timeout(min(_FIRST_BYTES_WITHIN, setup.patience / 2))
    with _client(setup) as http:
        try:
            with http.stream("GET", _STREAM, headers=headers, timeout=patience) as response:
                yield from _first_bytes(response)
        except httpx.ReadTimeout:
            yield problem(
                f"nothing of a stream came within {patience.read:g} seconds: a proxy holds it back until it has more",
                "switch buffering off for streams (nginx: proxy_buffering off); see deploy/nginx.conf, docs/streams.md",
            )


def _first_bytes(response: httpx.Response) -> Iterable[Finding]:
    if not response.is_success:
        response.read()
        yield warning(
            f"a stream was refused: {_json(response).get('detail', f'HTTP {response.status_code}')}",
            "name a key that is good and has the scope events:read",
        )
        return
    if "content-encoding" in response.headers:
        yield warning(
            f"the stream is compressed on its way ({response.headers['content-encoding']})",
            "switch compression off for text/event-stream: it holds events back",
        )
    next(response.iter_raw())
    yield ok("the first bytes of a stream come at once")


def look_at_gateway_certificate(setup: Setup) -> Iterable[Finding]:
    """See `look_at_certificate`."""
    return look_at_certificate(setup, _server(setup))


def _server(setup: Setup) -> Server:
    assert setup.server is not None, "these checks are made of a gateway that was named"
    return setup.server


def _client(setup: Setup) -> httpx.Client:
    url = _server(setup).url
    # A proxy is for the world outside.
    return httpx.Client(base_url=url, timeout=setup.patience / 3, trust_env=not _is_this_machine(httpx.URL(url).host))


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
