"""The headers of every answer: its request's id, and what a browser may and shall not do with it."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from gateway.transport.origins import Origins

REQUEST_ID_HEADER = "x-request-id"
#: Where the state of a request has the headers that tell how many more may follow, once it is known who asks.
RATE_LIMIT = "rate_limit"
#: And those that tell that the operation will be gone.
DEPRECATION = "deprecation"

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    # The URL of a stream may hold a token, which a browser would hand on.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NONE: dict[str, str] = {}
#: Unless the answer has its own: a page, or what may be kept.
_OTHERWISE = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


def protect(headers: MutableHeaders, request_id: str) -> None:
    """Add them to the headers of an answer."""
    headers[REQUEST_ID_HEADER] = request_id
    headers.raw.extend(_ALWAYS)
    for name, value in _OTHERWISE.items():
        headers.setdefault(name, value)


class AnswerHeaders:
    """Adds what every answer has, and what depends on who asks."""

    def __init__(self, origins: Origins, *, hsts_seconds: int) -> None:
        """`hsts_seconds`: for how long a browser that came over TLS shall come in no other way; 0: nothing is said."""
        self._origins = origins
        self._hsts = f"max-age={hsts_seconds}" if hsts_seconds else None

    def add(self, headers: MutableHeaders, request_id: str, scope: Scope) -> None:
        """To the headers of the answer to the request of this scope."""
        protect(headers, request_id)
        state = scope.get("state", {})
        for name, value in (*state.get(RATE_LIMIT, _NONE).items(), *state.get(DEPRECATION, _NONE).items()):
            headers[name] = value
        if self._hsts is not None and scope["scheme"] in ("https", "wss"):
            headers["strict-transport-security"] = self._hsts
        if self._origins:
            self._origins.mark(headers, Headers(scope=scope).get("origin"))
