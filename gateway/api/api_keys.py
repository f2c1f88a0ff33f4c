"""`/v1/api-keys`: the keys of the caller's organization."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Links, Out, Time, answer
from gateway.api.body import read_body
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import PageQuery, not_found, page_limit, page_of, path_uuid, read_cursor, read_query
from gateway.audit import note
from gateway.auth.key_store import KeyStore, Wanted, check_giving
from gateway.auth.keys import DEFAULT_SCOPES, MARK, NewSecret, Scope
from gateway.errors import Fault, ValidationFailed
from gateway.services import Services, services_of
from gateway.settings import GatewaySettings
from workerapp.contract.caller import Caller
from workerapp.db.tables import api_key as table
from workerapp.db.tenant import tenant_transaction

WHAT = "API key"
#: A hundred years.
LONGEST_LIFE = 3_155_760_000

KeyName = Annotated[str, Field(min_length=1, max_length=200)]


class ApiKeyCreation(In):
    """A key to be made; without `scopes` it gets those that runs, tasks and streams need."""

    name: KeyName
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))] = DEFAULT_SCOPES
    expires_at: AwareDatetime | None = None
    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_LIFE)] | None = None
    user_id: UUID | None = None

    @model_validator(mode="after")
    def _check_expiry(self) -> Self:
        if self.expires_at is not None and self.expires_in_seconds is not None:
            raise ValueError("Give expires_at or expires_in_seconds, not both")
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            raise ValueError("expires_at is past; give a time to come, or nothing for a key that does not expire")
        return self

    def wanted(self) -> Wanted:
        """With its scopes in one order, each once, and the time from now on."""
        life = self.expires_in_seconds
        return Wanted(
            name=self.name,
            scopes=[scope for scope in Scope if scope in self.scopes],
            expires_at=self.expires_at if life is None else datetime.now(UTC) + timedelta(seconds=life),
            user_id=self.user_id,
        )


class ApiKeyChange(In):
    """What may be changed."""

    name: KeyName


class Rotation(In):
    """How long the key that is replaced stays good."""

    overlap_seconds: Annotated[int, Field(ge=0)] = 0


class ApiKey(Out):
    """A key, by which nobody can do anything."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    user_id: UUID | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None
    links: Links


class ApiKeyCreated(ApiKey):
    """A new key with its secret; in an answer that is given again the secret is left out."""

    secret: str | None = None


async def create_api_key(request: Request, caller: Caller) -> Response:
    asked, services = await read_body(request, ApiKeyCreation), services_of(request)
    check_giving(caller.scopes, asked.scopes)

    async def work(connection: AsyncConnection) -> Made:
        return await make_key(_store(services, connection, caller), asked.wanted())

    return unstored(await make_once(request, caller, asked, work))


async def list_api_keys(request: Request, caller: Caller) -> Response:
    services, query = services_of(request), read_query(request, PageQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, UUID)
    async with tenant_transaction(services.engine, caller) as connection:
        page = _store(services, connection, caller).all().order_by(table.c.id.desc()).limit(limit + 1)
        rows = (await connection.execute(page if before is None else page.where(table.c.id < before))).all()
    return answer(page_of(rows, limit, _api_key, lambda row: row.id))


async def get_api_key(request: Request, caller: Caller) -> Response:
    services, key_id = services_of(request), _path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        return answer(_api_key(await _find(_store(services, connection, caller), key_id)))


async def change_api_key(request: Request, caller: Caller) -> Response:
    services, key_id = services_of(request), _path_id(request)
    asked = await read_body(request, ApiKeyChange)
    async with tenant_transaction(services.engine, caller) as connection:
        store = _store(services, connection, caller)
        await store.rename(key_id, asked.name)
        key = await _find(store, key_id)
        await note(connection, request, caller)
        return answer(_api_key(key))


async def rotate_api_key(request: Request, caller: Caller) -> Response:
    services, key_id = services_of(request), _path_id(request)
    asked = await read_body(request, Rotation, default=b"{}")
    overlap = _overlap(asked, services.settings)

    async def work(connection: AsyncConnection) -> Made:
        store = _store(services, connection, caller)
        check_giving(caller.scopes, (await _find(store, key_id)).scopes)
        return _made(*await store.replace(key_id, overlap))

    return unstored(await make_once(request, caller, asked, work))


async def revoke_api_key(request: Request, caller: Caller) -> Response:
    services, key_id = services_of(request), _path_id(request)
    async with tenant_transaction(services.engine, caller) as connection:
        store = _store(services, connection, caller)
        await _find(store, key_id)
        await store.revoke(key_id)
        await note(connection, request, caller)
    return Response(status_code=204)


async def make_key(store: KeyStore, wanted: Wanted) -> Made:
    """A key, with its secret this once.

    Raises:
        ValidationFailed: the organization has no such user.
        TooManyKeys: it has as many keys as it may.
    """
    if wanted.user_id is not None and not await store.has_user(wanted.user_id):
        detail = "There is no user with this id in the key's organization."
        raise ValidationFailed(f"/user_id: {detail}", faults=[Fault(pointer="/user_id", detail=detail)])
    return _made(*await store.make(wanted))


def unstored(response: Response) -> Response:
    """Kept nowhere: it may hold a secret."""
    response.headers["Cache-Control"] = "no-store"
    return response


def _made(row: Row[Any], secret: NewSecret) -> Made:
    body = ApiKeyCreated(**_api_key(row).model_dump(), secret=secret.secret)
    details = {"scopes": row.scopes, "expires_at": row.expires_at and row.expires_at.isoformat()}
    return Made(status=201, location=f"/v1/api-keys/{row.id}", body=body, details=details)


def _store(services: Services, connection: AsyncConnection, caller: Caller) -> KeyStore:
    return KeyStore(connection, caller.organization_id, services.settings.max_api_keys)


async def _find(store: KeyStore, key_id: UUID) -> Row[Any]:
    row = await store.find(key_id)
    if row is None:
        raise not_found(WHAT, key_id)
    return row


def _path_id(request: Request) -> UUID:
    return path_uuid(request, "api_key_id", WHAT)


def _overlap(asked: Rotation, settings: GatewaySettings) -> timedelta:
    most = settings.key_overlap_max_seconds
    if asked.overlap_seconds > most:
        detail = f"The value is too large; a replaced key stays good for at most {most} seconds on this server."
        raise ValidationFailed(f"/overlap_seconds: {detail}", faults=[Fault(pointer="/overlap_seconds", detail=detail)])
    return timedelta(seconds=asked.overlap_seconds)


def _api_key(row: Any) -> ApiKey:
    path = f"/v1/api-keys/{row.id}"
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=f"{MARK}{row.prefix}",
        scopes=row.scopes,
        user_id=row.user_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        links={"self": path, "rotate": f"{path}/rotate"},
    )
