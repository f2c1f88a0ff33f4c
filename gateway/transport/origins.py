"""Which pages of other origins may use the API from a browser: cross-origin resource sharing (CORS).

Nothing here is done with cookies, so a page can do nothing that it holds no key or token for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

ANY = "*"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
#: What a request may be sent with.
REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, "
    "Traceparent, X-Request-Id"
)
#: What a page may read of an answer.
ANSWER_HEADERS = (
    "Content-Disposition, Deprecation, ETag, Idempotent-Replayed, Link, Location, Preference-Applied, RateLimit, "
    "RateLimit-Policy, Retry-After, Sunset, X-Request-Id"
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins that may, as browsers write them; `*` is any."""

    allowed: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, words: Iterable[str]) -> Self:
        """Read the setting.

        Raises:
            ValueError: something is no origin; the sentence says what one looks like.
        """
        return cls(frozenset(ANY if word == ANY else _origin(word) for word in words))

    def __bool__(self) -> bool:
        return bool(self.allowed)

    def allow(self, origin: str) -> bool:
        """Whether a page of this origin may."""
        return ANY in self.allowed or origin in self.allowed

    def mark(self, headers: MutableHeaders, origin: str | None) -> None:
        """Let the browser show the answer to the page that asked, if it may see it."""
        if ANY in self.allowed:
            headers["access-control-allow-origin"] = ANY
        else:
            headers.add_vary_header("Origin")
            if origin not in self.allowed:
                return
            headers["access-control-allow-origin"] = origin
        headers["access-control-expose-headers"] = ANSWER_HEADERS


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks what a page may ask."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(max_age_seconds: int) -> dict[str, str]:
    """What a page may ask, and for how long the browser need not ask again."""
    return {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": REQUEST_HEADERS,
        "access-control-max-age": str(max_age_seconds),
    }


def _origin(word: str) -> str:
    text = word.lower()
    parts = urlsplit(text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or f"{parts.scheme}://{parts.netloc}" != text:
        raise ValueError(f"{word!r} is not an origin, such as https://app.example.com or http://localhost:3000, or *")
    if parts.username is not None or ANY in text:
        raise ValueError(f"{word!r} is not one origin; name each, or only *")
    return text.removesuffix(_DEFAULT_PORTS[parts.scheme])
