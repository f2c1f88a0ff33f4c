"""`/v1/webhook-endpoints`: where the organization is told of what happens in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, Field
from sqlalchemy import Row, func
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out, Time, answer
from gateway.api.api_keys import unstored
from gateway.api.body import read_body
from gateway.api.idempotency import Made, make_once
from gateway.api.outbound_urls import check_url
from gateway.api.paging import PageQuery, not_found, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.audit import Particulars, note
from gateway.services import Services, services_of
from gateway.webhooks.endpoint_store import WebhookEndpointStore
from gateway.webhooks.refusals import CallbackUnchangeable
from gateway.webhooks.vault import Vault
from workerapp.contract.caller import Caller
from workerapp.contract.endpoint_secrets import HIDDEN
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.contract.headers import MAX_HEADERS, check_distinct, check_name, check_value
from workerapp.contract.webhook_signing import new_secret, read_secret
from workerapp.contract.webhooks import DEFAULT_EVENT_TYPES, check_event_type
from workerapp.db.tables import webhook_endpoint as table
from workerapp.db.tenant import tenant_transaction

WHAT = "webhook endpoint"

#: What a delivery has by itself.
_OWN_HEADERS = frozenset({"content-type"})
_OWN_PREFIX = "webhook-"
_SAME = ("id", "kind", "url", "event_types", "description", "rate_per_second", "failing_since")
_TIMES = ("disabled_at", "disabled_reason", "created_at", "updated_at")


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    check_distinct(*([name] for name in headers))
    for name, value in headers.items():
        check_name(name)
        if name.lower() in _OWN_HEADERS or name.lower().startswith(_OWN_PREFIX):
            raise ValueError(f"the header {name!r} is set by the gateway and cannot be chosen")
        check_value(name, value)
    return headers


def _check_secret(secret: str) -> str:
    read_secret(secret)
    return secret


#: Types of events, and patterns of them, each once.
EventTypes: TypeAlias = Annotated[
    list[Annotated[str, AfterValidator(check_event_type)]],
    Field(min_length=1, max_length=50),
    AfterValidator(lambda names: list(dict.fromkeys(names))),
]
Headers: TypeAlias = Annotated[dict[str, str], Field(max_length=MAX_HEADERS), AfterValidator(_check_headers)]
Secret: TypeAlias = Annotated[str, AfterValidator(_check_secret)]
Description: TypeAlias = Annotated[str, Field(max_length=1000)]
Rate: TypeAlias = Annotated[float, Field(gt=0, le=10_000)]


class WebhookEndpointCreation(In):
    """A new subscription; without a secret it gets one."""

    url: str
    event_types: EventTypes = Field(default=[*DEFAULT_EVENT_TYPES])
    description: Description | None = None
    secret: Secret | None = None
    enabled: bool = True
    headers: Headers = Field(default_factory=dict)
    rate_per_second: Rate | None = None


class WebhookEndpointChange(In):
    """What is to be changed; null takes a description or a rate away, and leaves all else as it is."""

    url: str | None = None
    event_types: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = None
    headers: Headers | None = None
    rate_per_second: Rate | None = None


class WebhookEndpoint(Out):
    """An endpoint as it is answered: the values of its headers are hidden, and its secret is elsewhere."""

    id: UUID
    kind: Literal["subscription", "callback"]
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    headers: dict[str, str] | None
    rate_per_second: float | None
    failing_since: Time | None
    disabled_at: Time | None
    disabled_reason: Literal["request", "gone", "failing"] | None
    created_at: Time
    updated_at: Time
    links: Links


class WebhookEndpointCreated(WebhookEndpoint):
    """A new endpoint with its secret; in an answer that is given again the secret is left out."""

    secret: str | None = None


async def create_webhook_endpoint(request: Request, caller: Caller) -> Response:
    asked, services = await read_body(request, WebhookEndpointCreation), services_of(request)
    check_url(services.settings.outbound, asked.url, "/url")
    secret = asked.secret or new_secret()

    async def work(connection: AsyncConnection) -> Made:
        store = store_of(services, connection, caller, pointer="/secret")
        values = asked.model_dump(include={"url", "event_types", "description", "rate_per_second"})
        row = await store.make(values | _switched(None, enabled=asked.enabled), asked.headers, secret)
        body = WebhookEndpointCreated(**answered(row, store.vault).model_dump(), secret=secret)
        details = {"event_types": row.event_types}
        return Made(status=201, location=path_of(row.id), body=body, details=details)

    return unstored(await make_once(request, caller, asked, work))


async def list_webhook_endpoints(request: Request, caller: Caller) -> Response:
    services, query = services_of(request), read_query(request, PageQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, UUID)
    async with tenant_transaction(services.engine, caller) as connection:
        store = store_of(services, connection, caller)
        page = store.all().order_by(table.c.id.desc()).limit(limit + 1)
        rows = (await connection.execute(page if before is None else page.where(table.c.id < before))).all()
    return answer(page_of(rows, limit, lambda row: answered(row, store.vault), lambda row: row.id))


async def get_webhook_endpoint(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        store = store_of(services, connection, caller)
        return answer(answered(await find(store, key), store.vault))


async def change_webhook_endpoint(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    asked = await read_body(request, WebhookEndpointChange)
    if asked.url is not None:
        check_url(services.settings.outbound, asked.url, "/url")
    async with tenant_transaction(services.engine, caller) as connection:
        store = store_of(services, connection, caller, pointer="/headers")
        row = await find(store, key, lock=True)
        if row.kind == "callback" and (asked.url is not None or asked.event_types is not None):
            raise CallbackUnchangeable(f"Runs call {row.url} back, and tell where and of what: it cannot be changed.")
        row = await store.change(key, _changed(store.vault, row, asked))
        await note(connection, request, caller, Particulars(details={"fields": sorted(asked.model_fields_set)}))
    services.hints.news(EVENT_CHANNEL)
    return answer(answered(row, store.vault))


async def remove_webhook_endpoint(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        store = store_of(services, connection, caller)
        row = await find(store, key)
        await store.remove(key)
        await note(connection, request, caller, Particulars(details={"kind": row.kind}))
    return Response(status_code=204)


def store_of(
    services: Services, connection: AsyncConnection, caller: Caller, *, pointer: str | None = None
) -> WebhookEndpointStore:
    """The caller's endpoints; `pointer` leads to the field of the request that something is sealed for."""
    settings = services.settings
    vault = Vault(sealer=settings.sealer, organization_id=caller.organization_id, pointer=pointer)
    return WebhookEndpointStore(connection=connection, vault=vault, most=settings.max_webhook_endpoints)


async def find(store: WebhookEndpointStore, key: UUID, *, lock: bool = False) -> Row[Any]:
    """Read an endpoint; with `lock` nobody else changes it until the transaction has ended.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    row = await store.find(key, lock=lock)
    if row is None:
        raise not_found(WHAT, key)
    return row


def path_id(request: Request) -> UUID:
    """The endpoint that the path names."""
    return path_uuid(request, "webhook_endpoint_id", WHAT)


def path_of(key: UUID) -> str:
    """Where an endpoint is."""
    return f"/v1/webhook-endpoints/{key}"


def answered(row: Any, vault: Vault) -> WebhookEndpoint:
    """An endpoint as it is answered, from its row."""
    names, path = vault.header_names(row), path_of(row.id)
    return WebhookEndpoint(
        **{name: getattr(row, name) for name in (*_SAME, *_TIMES)},
        enabled=row.disabled_at is None,
        headers=None if names is None else dict.fromkeys(names, HIDDEN),
        links={
            "self": path,
            **{action: f"{path}/{action}" for action in ("secret", "rotate", "test", "recover", "statistics")},
            "deliveries": f"/v1/webhook-deliveries?webhook_endpoint_id={row.id}",
        },
    )


def _changed(vault: Vault, row: Row[Any], asked: WebhookEndpointChange) -> dict[str, Any]:
    """The columns that become others."""
    values: dict[str, Any] = asked.model_dump(include={"url", "event_types"}, exclude_none=True)
    values |= asked.model_dump(include={"description", "rate_per_second"}, exclude_unset=True)
    if asked.headers is not None:
        values["sealed_headers"] = vault.seal_headers(row.id, asked.headers)
    if asked.enabled is not None:
        values |= _switched(row.disabled_at, enabled=asked.enabled)
    return values


def _switched(disabled_at: datetime | None, *, enabled: bool) -> dict[str, Any]:
    """The columns that switch an endpoint on or off; one that is off already stays so for the same reason."""
    if enabled:
        return {"disabled_at": None, "disabled_reason": None}
    if disabled_at is not None:
        return {}
    return {"disabled_at": func.now(), "disabled_reason": "request"}
