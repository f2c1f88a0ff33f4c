"""What the gateway tells anybody of itself: what it is, whether it lives and can serve, its metrics, its document."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from pathlib import Path
from typing import Literal

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response

import gateway
from gateway.api.answers import Links, Out, answer
from gateway.api.conditions import answer_file
from gateway.database import NotMigrated, ServingRefused
from gateway.errors import ApiError, NotFound, NotReady, as_api_error
from gateway.services import Services, services_of
from workerapp.contract.distribution import DISTRIBUTION, installed_version

READY_SECONDS = 3.0

logger = logging.getLogger(__name__)


class About(Out):
    """What this is and where to go on."""

    name: str
    version: str
    links: Links


class Health(Out):
    """All is well."""

    status: Literal["ok"]


async def about(request: Request) -> Response:
    links = {"openapi": "/openapi.yaml", "health": "/healthz", "readiness": "/readyz"}
    settings = services_of(request).settings
    if settings.reference:
        links["reference"] = "/docs"
    if settings.dashboard:
        links["dashboard"] = "/"
    return answer(About(name=DISTRIBUTION, version=installed_version(), links=links))


async def health(_: Request) -> Response:
    return answer(Health(status="ok"))


async def readiness(request: Request) -> Response:
    """Whether the database answers and events are read; why not goes to the log, for the answer is anybody's."""
    services = services_of(request)
    if services.hub.is_draining:
        raise NotReady("The gateway stops; ask another one.")
    try:
        async with asyncio.timeout(READY_SECONDS):
            await ping(services)
    except Exception as error:
        problem = _unready(error)
        logger.warning("not_ready", extra={"code": problem.code, "reason": str(error) or type(error).__name__})
        raise problem from error
    if not services.tail.is_live:
        raise NotReady("The stream of events is not being read at the moment; try again shortly.")
    return answer(Health(status="ok"))


async def ping(services: Services) -> None:
    """Ask the database something."""
    async with services.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def metrics(request: Request) -> Response:
    """What Prometheus reads, unless it is told to nobody."""
    services = services_of(request)
    if not services.settings.metrics:
        raise NotFound("This gateway tells no metrics; GATEWAY_METRICS=on lets it.")
    return Response(services.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def openapi(request: Request) -> Response:
    return answer_file(request, _document(), "application/yaml")


@cache
def _document() -> bytes:
    """The document: in an installed package beside the modules, in a checkout one folder up."""
    package = Path(str(gateway.__file__)).parent
    inside = package / "openapi.yaml"
    return (inside if inside.exists() else package.parent / "openapi.yaml").read_bytes()


def _unready(error: Exception) -> ApiError:
    if isinstance(error, NotMigrated):
        return NotReady("The database has no schema yet; `gateway migrate` makes it.")
    if isinstance(error, ServingRefused):
        return NotReady("The database role is not one that may serve; the server's log says more.")
    answer = as_api_error(error)
    if answer is None:
        raise error
    return answer
