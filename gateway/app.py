"""Builds the gateway: settings in, ASGI application out. Nothing is opened before the server starts."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from gateway.api import (
    admin,
    api_keys,
    endpoints,
    events,
    group_differences,
    invocations,
    named_metrics,
    organization_events,
    organizations,
    run_comparison,
    run_export,
    run_groups,
    run_repetition,
    run_statistics,
    service,
    stream_tickets,
    tasks,
    test_configurations,
    test_exports,
    test_imports,
    test_runs,
    test_set_execution,
    test_sets,
    tests,
    websocket,
)
from gateway.api.answers import WEBSOCKET
from gateway.api.routing import (
    Operation,
    administers,
    manages_keys,
    reads,
    reads_stream,
    resource,
    submits,
    watches,
    writes,
)
from gateway.auth.key_finder import KeyFinder
from gateway.auth.key_watch import KeyWatch
from gateway.auth.stream_tokens import StreamTokens
from gateway.database import DatabaseUnreachable, ServingRefused, make_engine
from gateway.errors import ApiError, BadRequest, MethodNotAllowed, NotFound, problem
from gateway.launcher import Launcher
from gateway.metrics import Metrics
from gateway.middleware import BodyLimit, RequestContext, request_id
from gateway.outbox import Hints
from gateway.services import Services
from gateway.settings import GatewaySettings
from gateway.stream.event_log import EventLog
from gateway.stream.hub import Hub
from gateway.stream.tail import Tail
from workerapp.app import Producer

logger = logging.getLogger(__name__)

#: What takes larger bodies than others.
_IMPORT = re.compile(r"/v1/test-sets/[^/]+/import")

State = dict[str, Any]
Open = Callable[[Request], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    """Every path there is."""
    return [
        resource("/v1/tasks", post=submits(tasks.submit_task), get=reads(tasks.list_tasks)),
        resource("/v1/tasks/{task_id}", get=reads(tasks.get_task)),
        resource("/v1/tasks/{task_id}/cancel", post=submits(tasks.cancel_task)),
        resource("/v1/tasks/{task_id}/events", get=reads_stream(events.stream_task_events)),
        *_definition("/v1/endpoints", endpoints.DEFINITION, create=endpoints.create_endpoint),
        resource("/v1/endpoints/{endpoint_id}/invoke", post=writes(invocations.invoke_endpoint)),
        *_definition(
            "/v1/test-sets",
            test_sets.DEFINITION,
            create=test_sets.create_test_set,
            patch=writes(test_sets.change_test_set),
        ),
        resource("/v1/test-sets/{test_set_id}/execute", post=writes(test_set_execution.execute_test_set)),
        resource("/v1/test-sets/{test_set_id}/reorder", post=writes(test_sets.reorder_test_set)),
        resource("/v1/test-sets/{test_set_id}/import", post=writes(test_imports.import_tests)),
        resource("/v1/test-sets/{test_set_id}/export", get=reads(test_exports.export_tests)),
        resource("/v1/test-sets/{test_set_id}/tests", post=writes(tests.add_tests), get=reads(tests.list_tests)),
        resource(
            "/v1/test-sets/{test_set_id}/tests/{test_id}",
            get=reads(tests.get_test),
            put=writes(tests.replace_test),
            delete=writes(tests.archive_test),
        ),
        *_definition(
            "/v1/test-configurations",
            test_configurations.DEFINITION,
            create=test_configurations.create_test_configuration,
        ),
        resource(
            "/v1/test-configurations/{test_configuration_id}/execute",
            post=writes(test_configurations.execute_test_configuration),
        ),
        *_definition(
            "/v1/metrics",
            named_metrics.DEFINITION,
            create=named_metrics.create_metric,
            patch=writes(named_metrics.change_metric),
        ),
        resource("/v1/test-runs", get=reads(test_runs.list_test_runs)),
        resource("/v1/test-runs/{test_run_id}", get=reads(test_runs.get_test_run)),
        resource("/v1/test-runs/{test_run_id}/cancel", post=writes(test_runs.cancel_test_run)),
        resource("/v1/test-runs/{test_run_id}/results", get=reads(test_runs.list_test_results)),
        resource("/v1/test-runs/{test_run_id}/statistics", get=reads(run_statistics.get_run_statistics)),
        resource(
            "/v1/test-runs/{test_run_id}/compare/{other_test_run_id}", get=reads(run_comparison.compare_test_runs)
        ),
        resource("/v1/test-runs/{test_run_id}/export", get=reads(run_export.export_test_run)),
        resource("/v1/test-runs/{test_run_id}/retry", post=writes(run_repetition.retry_test_run)),
        resource("/v1/test-runs/{test_run_id}/rerun", post=writes(run_repetition.rerun_test_run)),
        resource("/v1/test-runs/{test_run_id}/rescore", post=writes(run_repetition.rescore_test_run)),
        resource("/v1/test-runs/{test_run_id}/events", get=reads_stream(events.stream_test_run_events)),
        resource("/v1/run-groups", get=reads(run_groups.list_run_groups)),
        resource("/v1/run-groups/{run_group_id}", get=reads(run_groups.get_run_group)),
        resource("/v1/run-groups/{run_group_id}/cancel", post=writes(run_groups.cancel_run_group)),
        resource("/v1/run-groups/{run_group_id}/differences", get=reads(group_differences.list_differences)),
        resource("/v1/run-groups/{run_group_id}/events", get=reads_stream(events.stream_run_group_events)),
        resource("/v1/stream-tickets", post=watches(stream_tickets.create_stream_ticket)),
        resource("/v1/events", get=reads_stream(organization_events.get_events)),
        WebSocketRoute(WEBSOCKET, websocket.converse),
        resource("/v1/api-keys", post=manages_keys(api_keys.create_api_key), get=manages_keys(api_keys.list_api_keys)),
        resource(
            "/v1/api-keys/{api_key_id}",
            get=manages_keys(api_keys.get_api_key),
            patch=manages_keys(api_keys.change_api_key),
            delete=manages_keys(api_keys.revoke_api_key),
        ),
        resource("/v1/api-keys/{api_key_id}/rotate", post=manages_keys(api_keys.rotate_api_key)),
        *_admin(),
        _open("/", service.about),
        _open("/healthz", service.health),
        _open("/readyz", service.readiness),
        _open("/metrics", service.metrics),
        _open("/openapi.yaml", service.openapi),
    ]


class _Application(Starlette):
    """Without Starlette's own answer to exceptions that nobody else has answered for.

    `RequestContext` has one, and every layer around the routes waits with each open stream.
    """

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = ExceptionMiddleware(self.router, handlers=self.exception_handlers)
        for layer, args, kwargs in reversed(self.user_middleware):
            app = layer(app, *args, **kwargs)
        return app


def create_app(settings: GatewaySettings) -> Starlette:
    """Build an application; `app.state.hub` is what a server drains before it stops."""
    metrics = Metrics(version(service.DISTRIBUTION))
    hub = Hub(settings.stream, metrics.streams)
    metrics.watch(hub, settings.stream)
    app = _Application(
        routes=routes(),
        middleware=[
            Middleware(RequestContext, metrics=metrics),
            Middleware(BodyLimit, limit=settings.max_body_bytes, others={_IMPORT: settings.max_import_bytes}),
        ],
        exception_handlers={ApiError: _answer_error, HTTPException: _answer_http_error},
        lifespan=lambda _: _lifespan(settings, hub, metrics),
    )
    # A path with one slash more is another path, and there is nothing at it.
    app.router.redirect_slashes = False
    app.state.hub = hub
    return app


@asynccontextmanager
async def _lifespan(settings: GatewaySettings, hub: Hub, metrics: Metrics) -> AsyncIterator[State]:
    engine = make_engine(settings)
    keys = KeyFinder(engine, cache_seconds=settings.key_cache_seconds, cache_size=settings.key_cache_size)
    key_watch = KeyWatch(keys)
    tail = Tail(settings.database, hub, settings.stream, metrics.streams, hearers=[key_watch])
    services = Services(
        settings=settings,
        engine=engine,
        keys=keys,
        key_watch=key_watch,
        stream_tokens=StreamTokens(
            engine, seconds=settings.stream_token_seconds, cache_seconds=settings.key_cache_seconds
        ),
        launcher=Launcher(Producer(settings.default_queue)),
        hints=Hints(engine),
        hub=hub,
        log=EventLog(engine),
        tail=tail,
        metrics=metrics,
        imports=asyncio.Semaphore(settings.max_imports),
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
        await engine.dispose()


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


def _definition(path: str, definition: Any, create: Any, **operations: Operation) -> list[BaseRoute]:
    one = {"get": reads(definition.get), "delete": writes(definition.archive), **operations}
    return [
        resource(path, post=writes(create), get=reads(definition.list)),
        resource(f"{path}/{{{definition.path_name}}}", **one),
    ]


def _admin() -> list[BaseRoute]:
    """What crosses organizations."""
    return [
        resource("/v1/admin/workers", get=administers(admin.list_workers)),
        resource("/v1/admin/queues", get=administers(admin.list_queues)),
        resource("/v1/admin/queues/{queue}/purge", post=administers(admin.purge_queue)),
        resource("/v1/admin/tasks", get=administers(admin.list_active_tasks)),
        resource("/v1/admin/tasks/{task_id}", get=administers(admin.get_task)),
        resource("/v1/admin/tasks/{task_id}/revoke", post=administers(admin.revoke_task)),
        resource("/v1/admin/tasks/{task_id}/terminate", post=administers(admin.terminate_task)),
        resource(
            "/v1/admin/organizations",
            post=administers(organizations.create_organization),
            get=administers(organizations.list_organizations),
        ),
        resource(
            "/v1/admin/organizations/{organization_id}",
            get=administers(organizations.get_organization),
            patch=administers(organizations.rename_organization),
        ),
        resource(
            "/v1/admin/organizations/{organization_id}/api-keys",
            post=administers(organizations.create_organization_key),
        ),
        resource("/v1/admin/sweeper", get=administers(admin.get_sweeper)),
    ]


def _open(path: str, handler: Open) -> Route:
    """A path that needs no key."""
    return Route(path, handler, methods=["GET"])


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return problem(error, request_id.get())


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
    return problem(what, request_id.get())
