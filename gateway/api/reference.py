"""`/docs`: a page that shows the document and tries operations, with nothing in it from anywhere else."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

import gateway.reference
from gateway.api.site import Site
from gateway.errors import NotFound
from gateway.services import services_of

_SITE = Site(folder=Path(gateway.reference.__path__[0]), page="page.html", path="/docs")


async def get_reference(request: Request) -> Response:
    return _site(request).answer_page(request)


async def get_reference_file(request: Request) -> Response:
    return _site(request).answer_part(request, request.path_params["name"])


def _site(request: Request) -> Site:
    if not services_of(request).settings.reference:
        raise NotFound(
            "This gateway shows no reference; GATEWAY_REFERENCE=on lets it. The document is at /openapi.yaml."
        )
    return _SITE
