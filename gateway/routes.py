"""Every path there is, with the operation for each method, the scope it needs, and what the audit log calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.api import (
    admin,
    api_keys,
    audit_events,
    bulk_cancel,
    bulk_retry,
    caller,
    dashboard,
    endpoints,
    events,
    group_differences,
    invocations,
    named_metrics,
    organization_events,
    organizations,
    problems,
    reference,
    run_comparison,
    run_export,
    run_groups,
    run_repetition,
    run_statistics,
    service,
    stream_tickets,
    task_submission,
    task_types,
    tasks,
    test_configurations,
    test_exports,
    test_imports,
    test_runs,
    test_set_execution,
    test_sets,
    tests,
    webhook_deliveries,
    webhook_endpoints,
    webhook_operation,
    webhook_secrets,
    websocket,
)
from gateway.api.answers import WEBSOCKET
from gateway.api.routing import (
    Operation,
    administers,
    identifies,
    manages_keys,
    manages_webhooks,
    reads,
    reads_stream,
    resource,
    submits,
    watches,
    writes,
)

Open = Callable[[Request], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    """Every path there is."""
    return [
        resource("/v1/task-types", get=reads(task_types.list_task_types)),
        resource("/v1/task-types/{task_type}", get=reads(task_types.get_task_type)),
        resource("/v1/tasks", post=submits(task_submission.submit_task, "task.submit"), get=reads(tasks.list_tasks)),
        resource("/v1/tasks/cancel", post=submits(bulk_cancel.cancel_tasks, "task.cancel_many")),
        resource("/v1/tasks/{task_id}", get=reads(tasks.get_task)),
        resource("/v1/tasks/{task_id}/cancel", post=submits(tasks.cancel_task, "task.cancel")),
        resource("/v1/tasks/{task_id}/events", get=reads_stream(events.stream_task_events)),
        *_definition("/v1/endpoints", endpoints.DEFINITION, create=endpoints.create_endpoint),
        resource("/v1/endpoints/{endpoint_id}/invoke", post=writes(invocations.invoke_endpoint, "endpoint.invoke")),
        *_definition(
            "/v1/test-sets",
            test_sets.DEFINITION,
            create=test_sets.create_test_set,
            patch=writes(test_sets.change_test_set, "test_set.change"),
        ),
        resource(
            "/v1/test-sets/{test_set_id}/execute", post=writes(test_set_execution.execute_test_set, "test_set.execute")
        ),
        resource("/v1/test-sets/{test_set_id}/reorder", post=writes(test_sets.reorder_test_set, "test_set.reorder")),
        resource("/v1/test-sets/{test_set_id}/import", post=writes(test_imports.import_tests, "test_set.import")),
        resource("/v1/test-sets/{test_set_id}/export", get=reads(test_exports.export_tests)),
        resource(
            "/v1/test-sets/{test_set_id}/tests",
            post=writes(tests.add_tests, "test_set.add_tests"),
            get=reads(tests.list_tests),
        ),
        resource(
            "/v1/test-sets/{test_set_id}/tests/{test_id}",
            get=reads(tests.get_test),
            put=writes(tests.replace_test, "test.replace"),
            delete=writes(tests.archive_test, "test.archive"),
        ),
        *_definition(
            "/v1/test-configurations",
            test_configurations.DEFINITION,
            create=test_configurations.create_test_configuration,
        ),
        resource(
            "/v1/test-configurations/{test_configuration_id}/execute",
            post=writes(test_configurations.execute_test_configuration, "test_configuration.execute"),
        ),
        *_definition(
            "/v1/metrics",
            named_metrics.DEFINITION,
            create=named_metrics.create_metric,
            patch=writes(named_metrics.change_metric, "metric.change"),
        ),
        resource("/v1/test-runs", get=reads(test_runs.list_test_runs)),
        resource("/v1/test-runs/cancel", post=writes(bulk_cancel.cancel_test_runs, "test_run.cancel_many")),
        resource("/v1/test-runs/retry", post=writes(bulk_retry.retry_test_runs, "test_run.retry_many")),
        resource("/v1/test-runs/{test_run_id}", get=reads(test_runs.get_test_run)),
        resource("/v1/test-runs/{test_run_id}/cancel", post=writes(test_runs.cancel_test_run, "test_run.cancel")),
        resource("/v1/test-runs/{test_run_id}/results", get=reads(test_runs.list_test_results)),
        resource("/v1/test-runs/{test_run_id}/statistics", get=reads(run_statistics.get_run_statistics)),
        resource(
            "/v1/test-runs/{test_run_id}/compare/{other_test_run_id}", get=reads(run_comparison.compare_test_runs)
        ),
        resource("/v1/test-runs/{test_run_id}/export", get=reads(run_export.export_test_run)),
        resource("/v1/test-runs/{test_run_id}/retry", post=writes(run_repetition.retry_test_run, "test_run.retry")),
        resource("/v1/test-runs/{test_run_id}/rerun", post=writes(run_repetition.rerun_test_run, "test_run.rerun")),
        resource(
            "/v1/test-runs/{test_run_id}/rescore", post=writes(run_repetition.rescore_test_run, "test_run.rescore")
        ),
        resource("/v1/test-runs/{test_run_id}/events", get=reads_stream(events.stream_test_run_events)),
        resource("/v1/run-groups", get=reads(run_groups.list_run_groups)),
        resource("/v1/run-groups/{run_group_id}", get=reads(run_groups.get_run_group)),
        resource("/v1/run-groups/{run_group_id}/cancel", post=writes(run_groups.cancel_run_group, "run_group.cancel")),
        resource("/v1/run-groups/{run_group_id}/differences", get=reads(group_differences.list_differences)),
        resource("/v1/run-groups/{run_group_id}/events", get=reads_stream(events.stream_run_group_events)),
        resource("/v1/stream-tickets", post=watches(stream_tickets.create_stream_ticket, "stream_ticket.create")),
        resource("/v1/events", get=reads_stream(organization_events.get_events)),
        WebSocketRoute(WEBSOCKET, websocket.converse),
        _open(WEBSOCKET, websocket.refuse_request),
        resource("/v1/caller", get=identifies(caller.get_caller)),
        resource(
            "/v1/api-keys",
            post=manages_keys(api_keys.create_api_key, "api_key.create"),
            get=manages_keys(api_keys.list_api_keys),
        ),
        resource(
            "/v1/api-keys/{api_key_id}",
            get=manages_keys(api_keys.get_api_key),
            patch=manages_keys(api_keys.change_api_key, "api_key.change"),
            delete=manages_keys(api_keys.revoke_api_key, "api_key.revoke"),
        ),
        resource("/v1/api-keys/{api_key_id}/rotate", post=manages_keys(api_keys.rotate_api_key, "api_key.rotate")),
        *_webhooks(),
        resource("/v1/audit-events", get=manages_keys(audit_events.list_audit_events)),
        *_admin(),
        _open("/", dashboard.get_front),
        _open("/healthz", service.health),
        _open("/readyz", service.readiness),
        _open("/metrics", service.metrics),
        _open("/problems/{code}", problems.get_problem_kind),
        _open("/openapi.yaml", service.openapi),
        _open("/docs", reference.get_reference),
        _open("/docs/{name}", reference.get_reference_file),
        _open("/dashboard/{name}", dashboard.get_dashboard_file),
        _open("/dashboard/{folder}/{name}", dashboard.get_dashboard_file),
    ]


def _definition(path: str, definition: Any, create: Any, **operations: Operation) -> list[BaseRoute]:
    kind = definition.what.replace(" ", "_")
    one = {"get": reads(definition.get), "delete": writes(definition.archive, f"{kind}.archive"), **operations}
    return [
        resource(path, post=writes(create, f"{kind}.create"), get=reads(definition.list)),
        resource(f"{path}/{{{definition.path_name}}}", **one),
    ]


def _webhooks() -> list[BaseRoute]:
    """Where organizations are told of what happens, and what is sent there."""
    one = "/v1/webhook-endpoints/{webhook_endpoint_id}"
    delivery = "/v1/webhook-deliveries/{webhook_delivery_id}"
    return [
        resource(
            "/v1/webhook-endpoints",
            post=manages_webhooks(webhook_endpoints.create_webhook_endpoint, "webhook_endpoint.create"),
            get=manages_webhooks(webhook_endpoints.list_webhook_endpoints),
        ),
        resource(
            one,
            get=manages_webhooks(webhook_endpoints.get_webhook_endpoint),
            patch=manages_webhooks(webhook_endpoints.change_webhook_endpoint, "webhook_endpoint.change"),
            delete=manages_webhooks(webhook_endpoints.remove_webhook_endpoint, "webhook_endpoint.remove"),
        ),
        resource(f"{one}/secret", get=manages_webhooks(webhook_secrets.get_webhook_secret)),
        resource(
            f"{one}/rotate", post=manages_webhooks(webhook_secrets.rotate_webhook_secret, "webhook_endpoint.rotate")
        ),
        resource(
            f"{one}/test", post=manages_webhooks(webhook_operation.test_webhook_endpoint, "webhook_endpoint.test")
        ),
        resource(
            f"{one}/recover",
            post=manages_webhooks(webhook_operation.recover_webhook_deliveries, "webhook_endpoint.recover"),
        ),
        resource(f"{one}/statistics", get=manages_webhooks(webhook_operation.get_webhook_statistics)),
        resource("/v1/webhook-deliveries", get=manages_webhooks(webhook_deliveries.list_webhook_deliveries)),
        resource(delivery, get=manages_webhooks(webhook_deliveries.get_webhook_delivery)),
        resource(f"{delivery}/attempts", get=manages_webhooks(webhook_deliveries.list_webhook_attempts)),
        resource(
            f"{delivery}/resend",
            post=manages_webhooks(webhook_deliveries.resend_webhook_delivery, "webhook_delivery.resend"),
        ),
    ]


def _admin() -> list[BaseRoute]:
    """What crosses organizations."""
    return [
        resource("/v1/admin/workers", get=administers(admin.list_workers)),
        resource("/v1/admin/queues", get=administers(admin.list_queues)),
        resource("/v1/admin/queues/{queue}/purge", post=administers(admin.purge_queue, "queue.purge")),
        resource("/v1/admin/tasks", get=administers(admin.list_active_tasks)),
        resource("/v1/admin/tasks/{task_id}", get=administers(admin.get_task)),
        resource("/v1/admin/tasks/{task_id}/revoke", post=administers(admin.revoke_task, "task.revoke")),
        resource("/v1/admin/tasks/{task_id}/terminate", post=administers(admin.terminate_task, "task.terminate")),
        resource(
            "/v1/admin/organizations",
            post=administers(organizations.create_organization, "organization.create"),
            get=administers(organizations.list_organizations),
        ),
        resource(
            "/v1/admin/organizations/{organization_id}",
            get=administers(organizations.get_organization),
            patch=administers(organizations.change_organization, "organization.change"),
        ),
        resource(
            "/v1/admin/organizations/{organization_id}/api-keys",
            post=administers(organizations.create_organization_key, "api_key.create"),
        ),
        resource("/v1/admin/sweeper", get=administers(admin.get_sweeper)),
    ]


def _open(path: str, handler: Open) -> Route:
    """A path that needs no key."""
    return Route(path, handler, methods=["GET"])
