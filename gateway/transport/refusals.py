"""Refusals before it is known who asks: by the form of a request, the host it names, and the page it comes from."""

from __future__ import annotations

from typing import ClassVar

from gateway.errors import ApiError, Unavailable


class OriginRefused(ApiError):
    """The page that opens a WebSocket is of an origin that may not."""

    status, code, title = 403, "origin_refused", "The origin is refused"


class RequestTooSlow(ApiError):
    """The head of the request took too long to arrive."""

    status, code, title = 408, "request_too_slow", "The request took too long"


class UrlTooLong(ApiError):
    """The URL is over the limit."""

    status, code, title = 414, "url_too_long", "The URL is too long"


class HostRefused(ApiError):
    """The request is for another host."""

    status, code, title = 421, "host_refused", "The host is not served here"


class UpgradeNeeded(ApiError):
    """The path takes a WebSocket's handshake only."""

    status, code, title = 426, "upgrade_needed", "This path is a WebSocket's"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})


class HeadersTooLarge(ApiError):
    """The headers are over a limit."""

    status, code, title = 431, "headers_too_large", "The headers are too large"


class ConnectionsFull(Unavailable):
    """The process has as many connections as it may."""

    code: ClassVar[str] = "connections_full"
    title: ClassVar[str] = "The server has no room for another connection"
