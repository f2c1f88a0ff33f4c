"""Work that a request asks for is done once, however often the request arrives with the same Idempotency-Key.

The key's row is written in the transaction of the work. A second request waits for that row: when the first one commits
it finds the answer, when the first one rolls back the second is the first. Stream tokens are not stored: an answer that
is given again gets a new one. Secrets of keys are not stored either, and not given again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import from_json, to_json
from sqlalchemy import RowMapping, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out
from gateway.audit import Particulars, note
from gateway.errors import IdempotencyKeyInUse, IdempotencyKeyInvalid, IdempotencyKeyReused
from gateway.log_subjects import tell_log_of_made
from gateway.services import Services, services_of
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller
from workerapp.db.tables import idempotency_key as table
from workerapp.db.tenant import tenant_transaction

HEADER = "idempotency-key"
MAX_KEY_LENGTH = 255
LOCK_NOT_AVAILABLE = "55P03"
TOKEN_FIELD = "stream_token"  # noqa: S105 - a field's name
#: What an answer has only the first time.
SECRET_FIELD = "secret"  # noqa: S105 - a field's name

#: The IETF draft has a quoted string; nearly all clients send the bare text.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"')
_BARE = re.compile(r"[!#-~]+")
_WAIT = text("SELECT set_config('lock_timeout', :milliseconds, true)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What the work made: the answer's status and body, where to find it, and what its stream token is for.

    What makes many at once has no place.
    """

    status: int
    body: Out
    location: str | None = None
    subject: Subject | None = None
    #: For the audit log: whose it is, when an operator asks, and what there is to tell.
    organization_id: UUID | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


_Work: TypeAlias = Callable[[AsyncConnection], Awaitable[Made]]


async def make_once(request: Request, caller: Caller, asked: BaseModel, work: _Work) -> Response:
    """Do the work in one transaction of the caller's, and note it for the audit; or answer what it answered before."""
    services = services_of(request)
    key = _read_key(request)
    async with tenant_transaction(services.engine, caller) as connection:
        if key is None:
            return _response(await _do(connection, request, caller, work))
        claim = _Claim(connection, caller, key, _fingerprint(request, asked))
        before = await claim.take(services)
        if before is None:
            made = await _do(connection, request, caller, work)
            await claim.keep(made)
            return _response(made)
    return await _replay(services, caller, before)


async def _do(connection: AsyncConnection, request: Request, caller: Caller, work: _Work) -> Made:
    made = await work(connection)
    if made.subject is not None:
        tell_log_of_made(made.body)
    told = Particulars(made=made.location, organization_id=made.organization_id, details=made.details)
    await note(connection, request, caller, told)
    return made


class _Claim:
    """One key of one organization, and the request it stands for."""

    def __init__(self, connection: AsyncConnection, caller: Caller, key: str, fingerprint: bytes) -> None:
        self._connection = connection
        self._fingerprint = fingerprint
        self._names = {"organization_id": caller.organization_id, "key": key}
        self._is_ours = (table.c.organization_id == caller.organization_id) & (table.c.key == key)

    async def take(self, services: Services) -> RowMapping | None:
        """Claim the key for this request, or get what was answered to the one that has it."""
        settings = services.settings
        wait = round(settings.idempotency_wait_seconds * 1000)
        await self._connection.execute(_WAIT, {"milliseconds": str(wait)})
        fresh = {"fingerprint": self._fingerprint, "status": 0, "body": None, "headers": {}, "created_at": func.now()}
        expired = table.c.created_at < func.now() - timedelta(seconds=settings.idempotency_ttl_seconds)
        claim = insert(table).values(**self._names, **fresh)
        claim = claim.on_conflict_do_update(index_elements=list(self._names), set_=fresh, where=expired)
        try:
            claimed = await self._connection.execute(claim.returning(table.c.key))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise IdempotencyKeyInUse(
                    "Another request with this Idempotency-Key is still at work; ask again in a moment."
                ) from error
            raise
        return None if claimed.first() else await self._read()

    async def keep(self, made: Made) -> None:
        """Store the answer for those who come later."""
        headers = {"location": made.location, "subject": made.subject and [made.subject.kind, made.subject.id]}
        body = made.body.model_dump_json(exclude={TOKEN_FIELD, SECRET_FIELD})
        stored = {"status": made.status, "headers": headers, "body": body}
        await self._connection.execute(update(table).where(self._is_ours).values(**stored))

    async def _read(self) -> RowMapping:
        row = (await self._connection.execute(select(table).where(self._is_ours))).mappings().one()
        if row["fingerprint"] != self._fingerprint:
            raise IdempotencyKeyReused("This Idempotency-Key was used for another request; choose a new one.")
        return row


def _read_key(request: Request) -> str | None:
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    value = given[0].strip()
    quoted = _QUOTED.fullmatch(value)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value
    if len(given) > 1 or len(key) > MAX_KEY_LENGTH or not (quoted or _BARE.fullmatch(value)):
        raise IdempotencyKeyInvalid(
            f"Idempotency-Key must be one value of 1 to {MAX_KEY_LENGTH} visible ASCII characters, for example a UUID."
        )
    return key


def _fingerprint(request: Request, asked: BaseModel) -> bytes:
    # What is left out need not mean what its default says; and a new field must not make old requests other ones.
    what = f"{request.method} {request.url.path}\n{asked.model_dump_json(exclude_unset=True)}"
    return hashlib.sha256(what.encode()).digest()


def _response(made: Made) -> Response:
    return Response(made.body.model_dump_json(), made.status, _located(made.location), "application/json")


async def _replay(services: Services, caller: Caller, row: RowMapping) -> Response:
    body, subject = row["body"], row["headers"].get("subject")
    if subject is not None:
        kind, subject_id = subject
        issuer = await services.stream_tokens.issuer(caller)
        token = issuer.for_subject(Subject(SubjectKind(kind), subject_id))
        body = to_json(from_json(body) | {TOKEN_FIELD: token})
    headers = _located(row["headers"]["location"]) | {"Idempotent-Replayed": "true"}
    return Response(body, row["status"], headers, "application/json")


def _located(location: str | None) -> dict[str, str]:
    return {} if location is None else {"Location": location}
