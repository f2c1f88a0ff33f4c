"""Who may ask at all: for the hosts that are served, and from the pages that may."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.transport.hosts import Hosts
from gateway.transport.origins import Origins, is_preflight, preflight_headers
from gateway.transport.refusals import HostRefused, OriginRefused

#: Asked by probes and scrapers by whatever address they found; they tell of no tenant.
_FOR_ANY_HOST = frozenset({"/healthz", "/readyz", "/metrics"})


class Admission:
    """Refuses requests for other hosts and WebSockets of other origins; answers browsers that ask before they ask."""

    def __init__(self, app: ASGIApp, *, hosts: Hosts, origins: Origins, preflight_seconds: int) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._preflight = preflight_headers(preflight_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and (self._hosts.names or self._origins):
            headers = Headers(scope=scope)
            self._check_host(scope["path"], headers)
            if scope["type"] == "websocket":
                self._check_origin(headers)
            elif is_preflight(scope["method"], headers) and self._origins.allow(headers["origin"]):
                await Response(status_code=204, headers=self._preflight)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check_host(self, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if path not in _FOR_ANY_HOST and not self._hosts.include(host):
            raise HostRefused(
                f'The request is for the host "{host[:200]}", which is not served here; '
                "an operator adds one to GATEWAY_ALLOWED_HOSTS."
            )

    def _check_origin(self, headers: Headers) -> None:
        """Browsers always tell it, and other programs need not; a page that we served ourselves may."""
        origin = headers.get("origin")
        if not self._origins or origin is None or self._origins.allow(origin):
            return
        if origin.partition("://")[2] != headers.get("host", ""):
            raise OriginRefused(
                f'A page of "{origin[:200]}" may not open a WebSocket here; '
                "an operator adds its origin to GATEWAY_CORS_ORIGINS."
            )
