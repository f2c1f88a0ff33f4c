"""`/v1/endpoints`: the applications under test."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Links, Out, Time
from gateway.api.body import read_body
from gateway.api.definitions import Definition
from gateway.api.idempotency import Made, make_once
from gateway.api.outbound_urls import check_url
from gateway.errors import Fault, SecretsUnavailable
from gateway.services import services_of
from gateway.settings import GatewaySettings
from workerapp.contract.auth import ClientCredentialsAuth
from workerapp.contract.caller import Caller
from workerapp.contract.endpoint_secrets import hide_secrets, secrets_of
from workerapp.contract.presets import Preset
from workerapp.contract.specs import EndpointSpec
from workerapp.db import tables
from workerapp.db.sealing import Place, SealingUnavailable, endpoint_place

#: What was stored before there were these fields is answered with their defaults.
_LATER: dict[str, Any] = {
    "auth": None,
    "templated_headers": {},
    "query": {},
    "preset": None,
    "model": None,
    "system": None,
    "stream": False,
    "first_byte_timeout": None,
}


class Endpoint(Out):
    """An endpoint as it is answered: its secrets are hidden."""

    id: UUID
    name: str
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH"]
    headers: dict[str, str]
    auth: dict[str, str | None] | None
    templated_headers: dict[str, str]
    query: dict[str, JsonValue]
    request: JsonValue
    response: Literal["text"] | dict[str, str]
    preset: Preset | None
    model: str | None
    system: str | None
    stream: bool
    connect_timeout: float
    first_byte_timeout: float | None
    timeout: float
    max_attempts: int
    max_concurrency: int | None
    requests_per_second: float | None
    max_response_bytes: int
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    links: Links


def _endpoint(row: Any) -> Endpoint:
    return Endpoint(
        **(_LATER | row.spec),
        id=row.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        links={"self": f"/v1/endpoints/{row.id}"},
    )


DEFINITION = Definition(table=tables.endpoint, what="endpoint", path_name="endpoint_id", item=_endpoint)


async def create_endpoint(request: Request, caller: Caller) -> Response:
    settings = services_of(request).settings
    spec = await read_body(request, EndpointSpec)
    _check_urls(spec, settings)

    async def work(connection: AsyncConnection) -> Made:
        key = (await connection.execute(select(func.uuid7()))).scalar_one()
        sealed = _seal(spec, settings, endpoint_place(caller.organization_id, key))
        values = {"id": key, "name": spec.name, "spec": hide_secrets(spec), "sealed_headers": sealed}
        row = await DEFINITION.insert(connection, caller, values)
        return Made(status=201, location=f"/v1/endpoints/{row.id}", body=_endpoint(row))

    return await make_once(request, caller, spec, work)


def _check_urls(spec: EndpointSpec, settings: GatewaySettings) -> None:
    check_url(settings.outbound, spec.url, "/url")
    if isinstance(spec.auth, ClientCredentialsAuth):
        check_url(settings.outbound, spec.auth.token_url, "/auth/token_url")


def _seal(spec: EndpointSpec, settings: GatewaySettings, place: Place) -> bytes | None:
    secrets = secrets_of(spec)
    if secrets is None:
        return None
    try:
        return settings.sealer.seal(secrets, place)
    except SealingUnavailable as error:
        pointer = "/headers" if spec.headers else "/auth"
        raise SecretsUnavailable(f"{pointer}: {error}", faults=[Fault(pointer=pointer, detail=str(error))]) from None
