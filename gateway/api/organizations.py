"""`/v1/admin/organizations`: makes organizations, and the first key of each; for keys with the scope `admin` only."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out, Time, answer
from gateway.api.api_keys import ApiKeyCreation, make_key, unstored
from gateway.api.body import read_body
from gateway.api.faults import invalid_fields
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import Named, PageQuery, not_found, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.audit import Particulars, note
from gateway.auth.key_store import KeyStore, check_giving
from gateway.auth.keys import TENANT_SCOPES
from gateway.errors import Fault, NameTaken
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.db.tenant import enter_tenant, transaction

logger = logging.getLogger(__name__)

WHAT = "organization"

_CREATE = text("SELECT admin_create_organization(:name)")
_CHANGE = text("SELECT admin_change_organization(:id, :name, :plan)")
_FIND = text("SELECT * FROM admin_organization(:id) AS found, admin_organization_load(found.id)")
_PAGE = text(
    "SELECT * FROM admin_organizations(:after, :most) AS found, admin_organization_load(found.id) ORDER BY found.name"
)


class OrganizationNaming(In):
    """What an organization is to be called; no two have the same name."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class OrganizationChange(In):
    """What becomes of it; what is not given stays."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    plan: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class Organization(Out):
    """An organization, and how much it has."""

    id: UUID
    name: str
    plan: str
    created_at: Time
    users: int
    live_keys: int
    test_runs: int
    open_test_runs: int
    queued_tests: int
    open_tasks: int
    links: Links


async def create_organization(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, OrganizationNaming)

    async def work(connection: AsyncConnection) -> Made:
        made = (await connection.execute(_CREATE, {"name": asked.name})).scalar_one()
        if made is None:
            raise _name_taken(asked.name)
        logger.warning("organization_created", extra={"made": str(made), **caller.credential()})
        body, details = await _find(connection, made), {"name": asked.name}
        return Made(status=201, location=_path(made), body=body, organization_id=made, details=details)

    return await make_once(request, caller, asked, work)


async def list_organizations(request: Request, _: Caller) -> Response:
    services, query = services_of(request), read_query(request, PageQuery)
    limit, after = page_limit(query, services.settings), read_cursor(query, Named)
    async with services.engine.connect() as connection:
        rows = (await connection.execute(_PAGE, {"after": after or "", "most": limit + 1})).mappings().all()
    return answer(page_of(rows, limit, _organization, lambda row: row["name"]))


async def get_organization(request: Request, _: Caller) -> Response:
    async with services_of(request).engine.connect() as connection:
        return answer(await _find(connection, path_uuid(request, "organization_id", WHAT)))


async def change_organization(request: Request, caller: Caller) -> Response:
    services, key = services_of(request), path_uuid(request, "organization_id", WHAT)
    asked = await read_body(request, OrganizationChange)
    if asked.plan is not None and asked.plan not in services.settings.plans:
        detail = f"There is no such plan; there are {', '.join(sorted(services.settings.plans))}."
        raise invalid_fields([Fault(pointer="/plan", detail=detail)])
    async with transaction(services.engine) as connection:
        changed = await connection.execute(_CHANGE, {"id": key, "name": asked.name, "plan": asked.plan})
        if not changed.scalar_one():
            raise _name_taken(str(asked.name))
        organization = await _find(connection, key)
        told = Particulars(organization_id=key, details=asked.model_dump(exclude_none=True))
        await note(connection, request, caller, told)
        return answer(organization)


async def create_organization_key(request: Request, caller: Caller) -> Response:
    """A key of another organization, with any scopes that stay within it."""
    services, key = services_of(request), path_uuid(request, "organization_id", WHAT)
    asked = await read_body(request, ApiKeyCreation)
    check_giving(TENANT_SCOPES, asked.scopes)

    async def work(connection: AsyncConnection) -> Made:
        await _find(connection, key)
        await enter_tenant(connection, key)
        made = await make_key(KeyStore(connection, key, services.settings.max_api_keys), asked.wanted())
        await enter_tenant(connection, caller.organization_id, caller.user_id)
        logger.warning("organization_key_created", extra={"made_for": str(key), **caller.credential()})
        return replace(made, organization_id=key)

    return unstored(await make_once(request, caller, asked, work))


async def _find(connection: AsyncConnection, key: UUID) -> Organization:
    row = (await connection.execute(_FIND, {"id": key})).mappings().one_or_none()
    if row is None:
        raise not_found(WHAT, key)
    return _organization(row)


def _organization(row: Any) -> Organization:
    path = _path(row["id"])
    return Organization(**row, links={"self": path, "api_keys": f"{path}/api-keys"})


def _path(key: UUID) -> str:
    return f"/v1/admin/organizations/{key}"


def _name_taken(name: str) -> NameTaken:
    return NameTaken(f'There is an organization of the name "{name}"; choose another name.')
