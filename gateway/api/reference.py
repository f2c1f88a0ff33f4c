"""`/docs`: a page that shows the document and tries operations, with nothing in it from anywhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

import gateway.reference
from gateway.api.conditions import answer_file
from gateway.errors import NotFound
from gateway.services import services_of

_PAGE = "page.html"
#: What a page may load, by the last part of its path.
_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
}
_HEADERS = {
    # Swagger UI has small images in its styles.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}


async def get_reference(request: Request) -> Response:
    return _answer(request, _PAGE, "text/html")


async def get_reference_file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _FILES:
        raise NotFound(f'The reference has no file "{name[:100]}"; it is at /docs.')
    return _answer(request, name, _FILES[name])


def _answer(request: Request, name: str, media_type: str) -> Response:
    if not services_of(request).settings.reference:
        raise NotFound(
            "This gateway shows no reference; GATEWAY_REFERENCE=on lets it. The document is at /openapi.yaml."
        )
    return answer_file(request, _content(name), media_type, _HEADERS)


@cache
def _content(name: str) -> bytes:
    return (Path(gateway.reference.__path__[0]) / name).read_bytes()
