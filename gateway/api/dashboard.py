"""The dashboard: its page at `/`, for who comes with a browser, and under `/dashboard` what the page loads."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

import gateway.ui
from gateway.api import service
from gateway.api.site import HTML, POLICY, Site
from gateway.errors import NotFound
from gateway.services import services_of
from gateway.transport.accepted import prefers

_SITE = Site(
    folder=Path(gateway.ui.__path__[0]),
    page="index.html",
    path="/",
    # No text becomes markup or a script in it, whatever an application under test has answered.
    policy=f"{POLICY}; require-trusted-types-for 'script'; trusted-types 'none'",
)


async def get_front(request: Request) -> Response:
    """The page for who would rather have one, and for programs what this is."""
    wants_page = prefers(request.headers, HTML, over="application/json")
    is_shown = services_of(request).settings.dashboard
    response = _SITE.answer_page(request) if is_shown and wants_page else await service.about(request)
    response.headers.add_vary_header("Accept")
    return response


async def get_dashboard_file(request: Request) -> Response:
    """A file of the page, in the folder itself or in one of the folders there."""
    if not services_of(request).settings.dashboard:
        raise NotFound("This gateway shows no dashboard; GATEWAY_DASHBOARD=on lets it.")
    return _SITE.answer_part(request, "/".join(request.path_params.values()))
