"""`/v1/webhook-endpoints/{id}/secret` and `…/rotate`: what signs an endpoint's deliveries, and another one instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Out, Time, answer
from gateway.api.api_keys import unstored
from gateway.api.body import read_body
from gateway.api.faults import invalid_fields
from gateway.api.idempotency import Made, make_once
from gateway.api.webhook_endpoints import Secret, find, path_id, path_of, store_of
from gateway.errors import Fault
from gateway.services import services_of
from gateway.settings import DAY, GatewaySettings
from gateway.webhooks.refusals import TooManyWebhookSecrets
from workerapp.contract.caller import Caller
from workerapp.contract.webhook_signing import WebhookSecrets, new_secret
from workerapp.db.tenant import tenant_transaction


class WebhookRotation(In):
    """Which secret takes the place of the present one, if it is not for us to draw, and how long both sign."""

    secret: Secret | None = None
    overlap_seconds: Annotated[int, Field(ge=0)] = DAY


class ReplacedSecret(Out):
    """A secret that was replaced, and still signs."""

    until: Time


class WebhookSecret(Out):
    """What signs; in an answer that is given again the secret is left out."""

    webhook_endpoint_id: UUID
    secret: str | None = None
    previous: list[ReplacedSecret]


async def get_webhook_secret(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        store = store_of(services, connection, caller)
        secrets = store.vault.secrets_of(await find(store, key))
    return unstored(answer(_answered(key, secrets)))


async def rotate_webhook_secret(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    asked = await read_body(request, WebhookRotation, default=b"{}")
    overlap, most = _overlap(asked, services.settings), services.settings.max_webhook_secrets

    async def work(connection: AsyncConnection) -> Made:
        store = store_of(services, connection, caller)
        old = store.vault.secrets_of(await find(store, key, lock=True))
        new = old.rotate(asked.secret or new_secret(), datetime.now(UTC), overlap)
        if len(new.previous) >= most:
            raise TooManyWebhookSecrets(
                f"{most} secrets of the endpoint sign, which is the limit; wait until the overlap of one is over."
            )
        await store.change(key, {"sealed_secrets": store.vault.seal_secrets(key, new)})
        details = {"overlap_seconds": round(overlap.total_seconds())}
        return Made(status=201, location=f"{path_of(key)}/secret", body=_answered(key, new), details=details)

    return unstored(await make_once(request, caller, asked, work))


def _answered(key: UUID, secrets: WebhookSecrets) -> WebhookSecret:
    now = datetime.now(UTC)
    previous = [ReplacedSecret(until=replaced.until) for replaced in secrets.previous if replaced.until > now]
    return WebhookSecret(webhook_endpoint_id=key, secret=secrets.secret, previous=previous)


def _overlap(asked: WebhookRotation, settings: GatewaySettings) -> timedelta:
    most = settings.webhook_overlap_max_seconds
    if "overlap_seconds" not in asked.model_fields_set:
        return timedelta(seconds=min(asked.overlap_seconds, most))
    if asked.overlap_seconds > most:
        detail = f"The value is too large; a replaced secret signs for at most {most} seconds on this server."
        raise invalid_fields([Fault(pointer="/overlap_seconds", detail=detail)])
    return timedelta(seconds=asked.overlap_seconds)
