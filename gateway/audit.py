"""The audit log: who did what to which resource, written in the transaction that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import insert, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql import bindparam
from starlette.requests import Request

from gateway.middleware import client_of, request_id
from workerapp.contract.caller import Caller
from workerapp.db.direct import DirectStatement
from workerapp.db.tables import audit_event as table
from workerapp.db.tenant import tenant_transaction

#: Resources whose ids are no UUIDs.
_NAMED_BY_TEXT = ("task", "queue")

_NOTE = DirectStatement(
    insert(table).values(
        {
            name: bindparam(name, type_=table.c[name].type)
            for name in (
                *("organization_id", "actor", "action", "resource_type", "resource_id", "details"),
                *("key_id", "user_id", "subject", "request_id", "client"),
            )
        }
    )
)
_NOTE_OPERATOR = text(
    "SELECT admin_note_audit(:organization_id, :action, :resource_id, :details, :key_id, :user_id, :subject,"
    " :request_id, :client)"
).bindparams(bindparam("details", type_=JSONB))


@dataclass(frozen=True, kw_only=True, slots=True)
class Particulars:
    """What is told of a change besides the request: never what was sent, or a secret."""

    #: The path of what it made.
    made: str | None = None
    #: Whose the resource is, when an operator asks.
    organization_id: UUID | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


async def note(
    connection: AsyncConnection, request: Request, caller: Caller, particulars: Particulars | None = None
) -> None:
    """Add the entry of what the request does, in the open transaction that does it."""
    told = particulars or Particulars()
    named, details = _named(request), dict(told.details)
    if named is None and told.made is not None:
        named = told.made.rpartition("/")[2]
    elif told.made not in (None, request.url.path):
        details["made"] = told.made
    entry = _entry(request, caller) | {"resource_id": named, "details": details}
    if told.organization_id is None:
        await _NOTE.fetch_one(connection, entry | _of_tenant(request, caller))
    else:
        await connection.execute(_NOTE_OPERATOR, entry | {"organization_id": told.organization_id})


async def note_denial(engine: AsyncEngine, request: Request, caller: Caller) -> None:
    """Add the entry of a change that the caller has no scope for, unless there was one within the last minute."""
    entry = _entry(request, caller) | _of_tenant(request, caller) | {"outcome": "denied"}
    column = table.c
    known = select(column.id).where(
        *(column.organization_id == caller.organization_id, column.action == entry["action"]),
        *(column.outcome == "denied", column.at > text("clock_timestamp() - interval '1 minute'")),
        column.key_id.is_not_distinct_from(caller.key_id),
        column.subject.is_not_distinct_from(caller.subject),
    )
    values = select(*(literal(value, column[name].type) for name, value in entry.items())).where(~known.exists())
    async with tenant_transaction(engine, caller) as connection:
        await connection.execute(insert(table).from_select(list(entry), values))


def _entry(request: Request, caller: Caller) -> dict[str, Any]:
    return {
        "action": request.state.action,
        "key_id": caller.key_id,
        "user_id": caller.user_id,
        "subject": caller.subject,
        "request_id": request_id.get(),
        "client": client_of(request.scope),
    }


def _of_tenant(request: Request, caller: Caller) -> dict[str, Any]:
    return {
        "organization_id": caller.organization_id,
        "actor": "token" if caller.key_id is None else "key",
        "resource_type": _kind(request),
    }


def _named(request: Request) -> str | None:
    """The id in the path of what is changed, in the one form that it is stored in; none if it is only made now."""
    kind = _kind(request)
    if kind in _NAMED_BY_TEXT:
        return request.path_params.get(f"{kind}_id", request.path_params.get(kind))
    value = request.path_params.get(f"{kind}_id")
    return None if value is None else str(UUID(value))


def _kind(request: Request) -> str:
    return str(request.state.action.partition(".")[0])
