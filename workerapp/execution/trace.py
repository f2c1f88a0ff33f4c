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


class Trace:
    """Keeps the last exchange it is told of; bodies up to so many bytes."""

    def __init__(self, excerpt_bytes: int) -> None:
        self._most = excerpt_bytes
        self.request: SentRequest | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._body, self._is_whole = bytearray(), True
        self._clean: Callable[[str], str] = str

    def sent(
        self, request: SentRequest, *, body: bytes | None, secret_headers: Collection[str], clean: Callable[[str], str]
    ) -> None:
        """Told what is sent now; `clean` leaves secrets out of a text."""
        hidden = {name.lower() for name in secret_headers}
        shown = {name: HIDDEN if name.lower() in hidden else clean(value) for name, value in request.headers.items()}
        text = None if body is None else clean(body[: self._most].decode("utf-8", "replace"))
        self.request = SentRequest(method=request.method, url=clean(request.url), headers=shown, body=text)
        self._response, self._body, self._is_whole, self._clean = None, bytearray(), True, clean

    def received(self, response: aiohttp.ClientResponse) -> Content:
        """Told that a response came; gives what its body is to be read from."""
        self._response = response
        return _Overheard(response.content, self._overhear)

    @property
    def response(self) -> ReceivedResponse | None:
        """The last response, as far as it was read."""
        if self._response is None:
            return None
        return ReceivedResponse(
            status=self._response.status,
            headers=_told(self._response.headers, self._clean),
            body=self._clean(self._body.decode("utf-8", "replace")),
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


def _told(headers: Mapping[str, str], clean: Callable[[str], str]) -> dict[str, str]:
    return {name.lower(): clean(value) for name, value in headers.items() if name.lower() in _TOLD}
