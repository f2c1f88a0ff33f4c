"""Pages of the gateway's own: a folder of the package, read once, whose files a browser loads under a strict policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.conditions import answer_file
from gateway.errors import NotFound

HTML = "text/html"
#: Files of other types, such as licenses, are nobody's to load.
_TYPES = {".html": HTML, ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: Scripts, styles and answers of this server and of nobody else, and none of them inside of the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A page, and what it loads."""

    folder: Path
    #: The name of its file.
    page: str
    #: Where it is.
    path: str
    policy: str = POLICY

    def answer_page(self, request: Request) -> Response:
        """The page itself."""
        return self._answer(request, self.page)

    def answer_part(self, request: Request, name: str) -> Response:
        """A file that it loads, by its path in the folder.

        Raises:
            NotFound: there is none.
        """
        if name == self.page or name not in _files(self.folder):
            raise NotFound(f'The page at {self.path} loads no file "{name[:100]}".')
        return self._answer(request, name)

    def _answer(self, request: Request, name: str) -> Response:
        file = _files(self.folder)[name]
        headers = {"Content-Security-Policy": self.policy, "Cross-Origin-Opener-Policy": "same-origin"}
        return answer_file(request, file.content, file.media_type, headers)


@cache
def _files(folder: Path) -> Mapping[str, _File]:
    """What a browser may load, by its path in the folder; no other path leads to a file, whatever stands in it."""
    return {
        path.relative_to(folder).as_posix(): _File(path.read_bytes(), _TYPES[path.suffix])
        for path in folder.rglob("*")
        if path.suffix in _TYPES and path.is_file()
    }
