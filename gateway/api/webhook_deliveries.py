"""`/v1/webhook-deliveries`: what is sent to webhook endpoints, what became of it, and sending it again."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import webhook_endpoints
from gateway.api.answers import Links, Out, Time, answer
from gateway.api.paging import PageQuery, Position, not_found, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.audit import note
from gateway.services import services_of
from gateway.webhooks.refusals import WebhookDisabled
from workerapp.contract.caller import Caller
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.db.tables import webhook_attempt, webhook_delivery, webhook_endpoint
from workerapp.db.tenant import tenant_transaction

WHAT = "webhook delivery"

DeliveryStatus: TypeAlias = Literal["pending", "delivered", "exhausted", "skipped"]
_Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]

_delivery, _attempt = webhook_delivery.c, webhook_attempt.c


class WebhookDeliverySummary(Out):
    """A delivery in a list; its id is the `webhook-id` of each attempt."""

    id: UUID
    webhook_endpoint_id: UUID
    callback_url: str | None
    event_type: str
    subject_id: str
    status: DeliveryStatus
    attempts: int
    http_status: int | None
    error: str | None
    next_attempt_at: Time | None
    created_at: Time
    finished_at: Time | None
    links: Links


class WebhookDelivery(WebhookDeliverySummary):
    """A delivery with what is sent."""

    payload: dict[str, Any]


class WebhookAttempt(Out):
    """One attempt, and what came of it."""

    number: int
    at: Time
    http_status: int | None
    error: str | None
    duration_ms: float | None
    response_excerpt: str | None


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    status: DeliveryStatus | None = None
    webhook_endpoint_id: UUID | None = None
    event_type: _Word | None = None
    subject_id: _Word | None = None


#: Those of a summary; what is sent may be 20 kB.
_COLUMNS = tuple(_delivery[name] for name in WebhookDeliverySummary.model_fields if name != "links")


async def list_webhook_deliveries(request: Request, caller: Caller) -> Response:
    services, query = services_of(request), read_query(request, DeliveryQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, UUID)
    statement = select(*_COLUMNS).where(_delivery.organization_id == caller.organization_id)
    for name, value in query.model_dump(exclude={"limit", "cursor"}, exclude_none=True).items():
        statement = statement.where(_delivery[name] == value)
    if before is not None:
        statement = statement.where(_delivery.id < before)
    async with tenant_transaction(services.engine, caller) as connection:
        rows = (await connection.execute(statement.order_by(_delivery.id.desc()).limit(limit + 1))).all()
    return answer(page_of(rows, limit, _summary, lambda row: row.id))


async def get_webhook_delivery(request: Request, caller: Caller) -> Response:
    key = _path_id(request)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        return answer(answered(await _find(connection, caller, key)))


async def list_webhook_attempts(request: Request, caller: Caller) -> Response:
    services, key, query = services_of(request), _path_id(request), read_query(request, PageQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, Position)
    statement = select(*(_attempt[name] for name in WebhookAttempt.model_fields)).where(
        _attempt.organization_id == caller.organization_id, _attempt.webhook_delivery_id == key
    )
    if before is not None:
        statement = statement.where(_attempt.number < before)
    async with tenant_transaction(services.engine, caller) as connection:
        await _find(connection, caller, key)
        rows = (await connection.execute(statement.order_by(_attempt.number.desc()).limit(limit + 1))).mappings().all()
    return answer(page_of(rows, limit, lambda row: WebhookAttempt(**row), lambda row: row["number"]))


async def resend_webhook_delivery(request: Request, caller: Caller) -> Response:
    """Begin the delivery anew, unless an attempt is under way just now."""
    services, key = services_of(request), _path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        row = await _find(connection, caller, key)
        endpoint = webhook_endpoint.c
        disabled = select(endpoint.disabled_at).where(
            endpoint.organization_id == caller.organization_id, endpoint.id == row.webhook_endpoint_id
        )
        check_enabled((await connection.execute(disabled)).one())
        is_it = (_delivery.organization_id == caller.organization_id) & (_delivery.id == key)
        again = update(webhook_delivery).where(is_it, _delivery.leased_by.is_(None)).values(**begun_anew())
        await connection.execute(again)
        row = await _find(connection, caller, key)
        await note(connection, request, caller)
    services.hints.news(EVENT_CHANNEL)
    return answer(answered(row), 202)


def begun_anew() -> dict[str, Any]:
    """The columns of a delivery that is due now and has all its attempts before it."""
    return {"status": "pending", "schedule_place": 0, "next_attempt_at": func.now(), "finished_at": None}


def check_enabled(endpoint: Any) -> None:
    """See that something would be sent to the endpoint.

    Raises:
        WebhookDisabled: nothing is.
    """
    if endpoint.disabled_at is not None:
        raise WebhookDisabled("The webhook endpoint is disabled, so nothing is sent to it; enable it and ask again.")


def answered(row: Any) -> WebhookDelivery:
    """A delivery as it is answered, from its row."""
    return WebhookDelivery(**_summary(row).model_dump(), payload=row.payload)


def path_of(key: UUID) -> str:
    """Where a delivery is."""
    return f"/v1/webhook-deliveries/{key}"


async def _find(connection: AsyncConnection, caller: Caller, key: UUID) -> Row[Any]:
    statement: Select[Any] = select(*_COLUMNS, _delivery.payload).where(
        _delivery.organization_id == caller.organization_id, _delivery.id == key
    )
    row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise not_found(WHAT, key)
    return row


def _path_id(request: Request) -> UUID:
    return path_uuid(request, "webhook_delivery_id", WHAT)


def _summary(row: Any) -> WebhookDeliverySummary:
    path = path_of(row.id)
    return WebhookDeliverySummary(
        **{column.name: getattr(row, column.name) for column in _COLUMNS},
        links={
            "self": path,
            "attempts": f"{path}/attempts",
            "resend": f"{path}/resend",
            "webhook_endpoint": webhook_endpoints.path_of(row.webhook_endpoint_id),
        },
    )
