"""Builds the gateway: settings in, ASGI application out. Nothing is opened before the server starts."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.api import service
from gateway.auth.failed_attempts import FailedAttempts
from gateway.auth.jwts import make_jwts
from gateway.auth.key_finder import KeyFinder
from gateway.auth.key_watch import KeyWatch
from gateway.auth.stream_tokens import StreamTokens
from gateway.database import DatabaseUnreachable, ServingRefused, make_engine
from gateway.errors import ApiError, BadRequest, MethodNotAllowed, NotFound, problem
from gateway.imports import Imports
from gateway.launcher import Launcher
from gateway.metrics import Metrics
from gateway.middleware import BodyLimit, BodyLimits, RequestContext, request_id, trace_id
from gateway.outbox import Hints
from gateway.pool import timed_pool
from gateway.quotas.buckets import Clock, Rate
from gateway.quotas.capacity import Capacity
from gateway.quotas.plan_finder import PlanFinder
from gateway.quotas.request_limits import RequestLimits
from gateway.routes import routes
from gateway.services import Services
from gateway.settings import GatewaySettings
from gateway.stream.event_log import EventLog
from gateway.stream.hub import Hub
from gateway.stream.tail import Tail
from gateway.submission.task_types import TaskTypes
from gateway.transport.admission import Admission
from gateway.transport.answer_headers import AnswerHeaders
from gateway.transport.compression import Compression
from workerapp.app import Producer
from workerapp.contract.distribution import installed_version
from workerapp.tracing.traces import Traces, make_traces

logger = logging.getLogger(__name__)

#: What takes larger bodies than others.
_IMPORT = re.compile(r"/v1/test-sets/[^/]+/import")

#: What a gateway calls itself in traces.
SERVICE = "task-status-gateway"

State = dict[str, Any]


class _Application(Starlette):
    """Without Starlette's own answer to exceptions that nobody else has answered for.

    `RequestContext` has one, and every layer around the routes waits with each open stream.
    """

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = ExceptionMiddleware(self.router, handlers=self.exception_handlers)
        for layer, args, kwargs in reversed(self.user_middleware):
            app = layer(app, *args, **kwargs)
        return app


def create_app(settings: GatewaySettings, clock: Clock = time.monotonic) -> Starlette:
    """Build an application; `app.state.hub` is what a server drains before it stops. Limits are kept by the clock."""
    metrics = Metrics(installed_version())
    hub = Hub(settings.stream, metrics.streams)
    metrics.watch(hub, settings.stream)
    traces = make_traces(settings.traces_endpoint, settings.traces_ratio, SERVICE)
    app = _Application(
        routes=routes(),
        middleware=_layers(settings, metrics, traces),
        exception_handlers={ApiError: _answer_error, HTTPException: _answer_http_error},
        lifespan=lambda _: _lifespan(settings, hub, metrics, clock, traces),
    )
    # A path with one slash more is another path, and there is nothing at it.
    app.router.redirect_slashes = False
    app.state.hub = hub
    return app


def _layers(settings: GatewaySettings, metrics: Metrics, traces: Traces) -> list[Middleware]:
    """What is around the routes, from the outside to the inside."""
    headers = AnswerHeaders(settings.origins, hsts_seconds=settings.hsts_seconds)
    bodies = BodyLimits(bytes=settings.max_body_bytes, seconds=settings.body_receive_seconds)
    imports = BodyLimits(bytes=settings.max_import_bytes, seconds=settings.import_receive_seconds)
    return [
        Middleware(RequestContext, metrics=metrics, headers=headers, traces=traces),
        Middleware(Compression, min_bytes=settings.compression_min_bytes),
        Middleware(
            Admission,
            hosts=settings.hosts,
            origins=settings.origins,
            preflight_seconds=settings.cors_max_age_seconds,
        ),
        Middleware(BodyLimit, limits=bodies, others={_IMPORT: imports}),
    ]


@asynccontextmanager
async def _lifespan(
    settings: GatewaySettings, hub: Hub, metrics: Metrics, clock: Clock, traces: Traces
) -> AsyncIterator[State]:
    engine = make_engine(settings, timed_pool(metrics.pool_waits.observe))
    metrics.pool.watch(engine, settings.pool_size + settings.pool_overflow)
    keys = KeyFinder(engine, cache_seconds=settings.key_cache_seconds, cache_size=settings.key_cache_size)
    key_watch = KeyWatch(keys)
    jwts = make_jwts(settings, engine)
    plans = PlanFinder(engine, settings.plans, cache_seconds=settings.plan_cache_seconds, clock=clock)
    failures = Rate(settings.failed_attempts_per_second, settings.failed_attempts_burst)

    def has_met(credential: str) -> bool:
        return keys.has_met(credential) or jwts.has_met(credential)

    tail = Tail(settings.database, hub, settings.stream, metrics.streams, hearers=[key_watch])
    services = Services(
        settings=settings,
        engine=engine,
        keys=keys,
        key_watch=key_watch,
        jwts=jwts,
        stream_tokens=StreamTokens(
            engine, seconds=settings.stream_token_seconds, cache_seconds=settings.key_cache_seconds
        ),
        launcher=Launcher(Producer(settings.default_queue), metrics.submissions),
        task_types=TaskTypes(engine, settings, clock),
        hints=Hints(engine, metrics.submissions),
        hub=hub,
        log=EventLog(engine),
        tail=tail,
        metrics=metrics,
        imports=Imports(settings.max_imports, settings.max_imports_per_organization),
        plans=plans,
        request_limits=RequestLimits(plans, metrics, clock),
        failed_attempts=FailedAttempts(has_met, metrics, failures, clock),
        capacity=Capacity(plans, metrics, clock),
    )
    try:
        await _look_for_database(services)
        key_watch.start()
        await tail.start()
        yield {"services": services}
    finally:
        await tail.stop()
        await key_watch.stop()
        await services.hints.close()
        await services.jwts.close()
        await engine.dispose()
        await asyncio.to_thread(traces.close)


async def _look_for_database(services: Services) -> None:
    """Serve without a database, which may come later, but never with one that shows every tenant's rows."""
    try:
        await service.ping(services)
        await _look_for_keys(services)
    except ServingRefused as error:
        logger.critical("serving_refused", extra={"reason": str(error)})
        raise
    except DatabaseUnreachable as error:
        logger.error("database_unavailable", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it all


async def _look_for_keys(services: Services) -> None:
    """Nobody can sign up: who deploys the first gateway is told what comes next."""
    with suppress(SQLAlchemyError):  # it is a hint and no more, and the schema may be about to be upgraded
        if not await services.keys.exist():
            hint = "nobody can use the API; `gateway keys create --organization NAME` makes the first key"
            logger.warning("no_api_keys", extra={"hint": hint})


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return problem(error, request_id.get(), trace_id.get())


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: no such path, no such method, a request nobody can read."""
    assert isinstance(error, HTTPException)
    what: ApiError
    if error.status_code == 404:  # noqa: PLR2004 - HTTP's number
        what = NotFound(f"There is nothing at {request.url.path[:200]}; /openapi.yaml lists what there is.")
    elif error.status_code == 405:  # noqa: PLR2004 - HTTP's number
        allowed = (error.headers or {}).get("Allow", "")
        what = MethodNotAllowed(
            f"{request.method} is not possible here; this path takes {allowed}.", headers={"Allow": allowed}
        )
    else:
        what = BadRequest(f"{error.detail}.")
    return problem(what, request_id.get(), trace_id.get())
