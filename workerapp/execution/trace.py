"""A witness of one exchange: the request as it was sent and the response as it came, without secrets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import aiohttp

from workerapp.contract.invocation import ReceivedResponse, SentRequest

HIDDEN = "***"
_TOLD = frozenset(
    {"content-type", "content-length", "date", "location", "retry-after", "server", "www-authenticate", "x-request-id"}
)


class Content(Protocol):
    """What a body is read from."""

    async def readany(self) -> bytes: ...
    def at_eof(self) -> bool: ...


class Cleaner(Protocol):
    """What leaves secrets out of a text, or of the beginning of one."""

    def clean(self, text: str) -> str: ...
    def clean_beginning(self, text: str) -> str: ...


class Trace:
    """Keeps the last exchange it is told of; bodies up to so many bytes."""

    def __init__(self, excerpt_bytes: int) -> None:
        self._most = excerpt_bytes
        self.request: SentRequest | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._body, self._is_whole = bytearray(), True
        self._cleaner: Cleaner | None = None

    def sent(
        self, request: SentRequest, *, body: bytes | None, secret_headers: Collection[str], cleaner: Cleaner
    ) -> None:
        """Told what is sent now."""
        clean = cleaner.clean
        hidden = {name.lower() for name in secret_headers}
        shown = {name: HIDDEN if name.lower() in hidden else clean(value) for name, value in request.headers.items()}
        text = None if body is None else _excerpt(cleaner, body[: self._most], is_whole=len(body) <= self._most)
        self.request = SentRequest(method=request.method, url=clean(request.url), headers=shown, body=text)
        self._response, self._body, self._is_whole = None, bytearray(), True
        self._cleaner = cleaner

    def received(self, response: aiohttp.ClientResponse) -> Content:
        """Told that a response came; gives what its body is to be read from."""
        self._response = response
        return _Overheard(response.content, self._overhear)

    @property
    def response(self) -> ReceivedResponse | None:
        """The last response, as far as it was read."""
        if self._response is None or self._cleaner is None:
            return None
        return ReceivedResponse(
            status=self._response.status,
            headers=_told(self._response.headers, self._cleaner.clean),
            body=_excerpt(self._cleaner, bytes(self._body), is_whole=self._is_whole),
            is_whole=self._is_whole,
        )

    def _overhear(self, chunk: bytes) -> None:
        left = self._most - len(self._body)
        self._body += chunk[:left]
        self._is_whole = self._is_whole and len(chunk) <= left


class _Overheard:
    def __init__(self, content: Content, listen: Callable[[bytes], None]) -> None:
        self._content, self._listen = content, listen

    async def readany(self) -> bytes:
        chunk = await self._content.readany()
        self._listen(chunk)
        return chunk

    def at_eof(self) -> bool:
        return self._content.at_eof()


def _excerpt(cleaner: Cleaner, body: bytes, *, is_whole: bool) -> str:
    text = body.decode("utf-8", "replace")
    return cleaner.clean(text) if is_whole else cleaner.clean_beginning(text)


def _told(headers: Mapping[str, str], clean: Callable[[str], str]) -> dict[str, str]:
    return {name.lower(): clean(value) for name, value in headers.items() if name.lower() in _TOLD}
