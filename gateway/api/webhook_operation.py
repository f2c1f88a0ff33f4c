"""`/v1/webhook-endpoints/{id}/test`, `…/recover` and `…/statistics`: whether an endpoint works, and what it missed."""

from __future__ import annotations

from typing import Any, Self, get_args
from uuid import UUID

from pydantic import AwareDatetime, model_validator
from sqlalchemy import ARRAY, Row, Uuid, any_, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import webhook_deliveries
from gateway.api.answers import In, Out, Time, answer
from gateway.api.body import read_body
from gateway.api.idempotency import Made, make_once
from gateway.api.webhook_deliveries import DeliveryStatus, begun_anew, check_enabled
from gateway.api.webhook_endpoints import find, path_id, store_of
from gateway.audit import Particulars, note
from gateway.services import services_of
from gateway.webhooks.refusals import CallbackUnchangeable
from workerapp.contract.caller import Caller
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.contract.webhooks import TEST_TYPE
from workerapp.db.tables import webhook_attempt, webhook_delivery
from workerapp.db.tenant import tenant_transaction

_delivery, _attempt = webhook_delivery.c, webhook_attempt.c


class WebhookTest(In):
    """What can be said about a test of an endpoint: nothing yet."""


class Recovery(In):
    """Of which time what was not delivered is sent again: `until` is the first moment that is too late."""

    since: AwareDatetime
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("until must be later than since")
        return self


class Recovered(Out):
    """How many deliveries are pending again, and whether there are more that were to be."""

    recovered: int
    more: bool


class LastAttempt(Out):
    """The latest attempt of all deliveries to an endpoint."""

    webhook_delivery_id: UUID
    at: Time
    http_status: int | None
    error: str | None
    duration_ms: float | None


class WebhookStatistics(Out):
    """How deliveries to an endpoint stand; those that were removed by age are not counted."""

    pending: int
    delivered: int
    exhausted: int
    skipped: int
    oldest_pending_at: Time | None
    last_attempt: LastAttempt | None


async def test_webhook_endpoint(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    asked = await read_body(request, WebhookTest, default=b"{}")

    async def work(connection: AsyncConnection) -> Made:
        endpoint = await find(store_of(services, connection, caller), key)
        if endpoint.kind == "callback":
            raise CallbackUnchangeable(
                f"Where {endpoint.url} is called back is told with each run; execute one to try it."
            )
        check_enabled(endpoint)
        row = await _insert_test(connection, endpoint)
        body, location = webhook_deliveries.answered(row), webhook_deliveries.path_of(row.id)
        return Made(status=202, location=location, body=body)

    response = await make_once(request, caller, asked, work)
    services.hints.news(EVENT_CHANNEL)
    return response


async def recover_webhook_deliveries(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    asked = await read_body(request, Recovery)
    async with tenant_transaction(services.engine, caller) as connection:
        check_enabled(await find(store_of(services, connection, caller), key))
        recovered = await _recover(connection, caller, key, asked, services.settings.max_deliveries_recovered)
        await note(connection, request, caller, Particulars(details={"recovered": recovered.recovered}))
    services.hints.news(EVENT_CHANNEL)
    return answer(recovered, 202)


async def get_webhook_statistics(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        await find(store_of(services, connection, caller), key)
        return answer(await _statistics(connection, caller, key))


async def _insert_test(connection: AsyncConnection, endpoint: Row[Any]) -> Row[Any]:
    told = {"webhook_endpoint_id": str(endpoint.id), "url": endpoint.url}
    payload = func.webhook_payload(
        TEST_TYPE,
        endpoint.organization_id,
        str(endpoint.id),
        endpoint.seq,
        func.now(),
        literal(told, _delivery.payload.type),
    )
    values = {
        "organization_id": endpoint.organization_id,
        "webhook_endpoint_id": endpoint.id,
        "event_type": TEST_TYPE,
        "subject_id": str(endpoint.id),
        "payload": payload,
        "next_attempt_at": func.now(),
    }
    made = await connection.execute(insert(webhook_delivery).values(**values).returning(*_delivery))
    return made.one()


async def _recover(connection: AsyncConnection, caller: Caller, key: UUID, asked: Recovery, most: int) -> Recovered:
    """Begin the oldest anew."""
    lost = (
        select(_delivery.id)
        .where(_delivery.organization_id == caller.organization_id, _delivery.webhook_endpoint_id == key)
        .where(_delivery.status.in_(["exhausted", "skipped"]), _delivery.event_type != TEST_TYPE)
        .where(_delivery.created_at >= asked.since)
    )
    if asked.until is not None:
        lost = lost.where(_delivery.created_at < asked.until)
    rows = (await connection.execute(lost.order_by(_delivery.id).limit(most + 1).with_for_update(key_share=True))).all()
    keys = [row.id for row in rows[:most]]
    of_these = (_delivery.organization_id == caller.organization_id) & (
        _delivery.id == any_(literal(keys, ARRAY(Uuid)))
    )
    await connection.execute(update(webhook_delivery).where(of_these).values(**begun_anew()))
    return Recovered(recovered=len(keys), more=len(rows) > most)


async def _statistics(connection: AsyncConnection, caller: Caller, key: UUID) -> WebhookStatistics:
    own = (_delivery.organization_id == caller.organization_id) & (_delivery.webhook_endpoint_id == key)
    counted = select(
        *(func.count().filter(_delivery.status == status).label(status) for status in get_args(DeliveryStatus)),
        func.min(_delivery.created_at).filter(_delivery.status == "pending").label("oldest_pending_at"),
    ).where(own)
    latest = (
        select(*(_attempt[name] for name in LastAttempt.model_fields))
        .join(webhook_delivery, _delivery.id == _attempt.webhook_delivery_id)
        .where(own)
        .order_by(_attempt.at.desc(), _attempt.id.desc())
        .limit(1)
    )
    counts = (await connection.execute(counted)).mappings().one()
    last = (await connection.execute(latest)).mappings().one_or_none()
    return WebhookStatistics(**counts, last_attempt=None if last is None else LastAttempt(**last))
