"""`/v1/audit-events`: who did what to which resource of the caller's organization."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, Text, and_, cast, or_, select, tuple_
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out, Time, answer
from gateway.api.paging import PageQuery, page_limit, page_of, read_cursor, read_query
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.db.tables import audit_event as table
from workerapp.db.tenant import tenant_transaction

OPERATOR = "operator"

_Word: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]{1,255}$")]
#: Of the last one on a page: when it was, and its id.
_Key = tuple[AwareDatetime, UUID]

_event = table.c


class Actor(Out):
    """Who did it: an API key, a token of an identity provider, or an operator."""

    type: Literal["key", "token", "operator"]
    key_id: UUID | None
    user_id: UUID | None
    subject: str | None


class Resource(Out):
    """What it was done to."""

    type: str
    id: str | None


class AuditEvent(Out):
    """An entry of the log."""

    id: UUID
    at: Time
    action: str
    outcome: Literal["done", "denied"]
    actor: Actor
    resource: Resource
    request_id: str | None
    client_address: str | None
    details: dict[str, Any]


class AuditQuery(PageQuery):
    """Which entries; `from` is the first moment, `to` the first one after."""

    action: _Word | None = None
    actor: _Word | None = None
    resource_type: _Word | None = None
    resource_id: _Word | None = None
    from_: AwareDatetime | None = Field(default=None, alias="from")
    to: AwareDatetime | None = None


async def list_audit_events(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    query = read_query(request, AuditQuery)
    limit, before = page_limit(query, services.settings), read_cursor(query, _Key)
    statement = select(table).where(_event.organization_id == caller.organization_id, *_wanted(query))
    if before is not None:
        statement = statement.where(tuple_(_event.at, _event.id) < tuple_(*before))
    statement = statement.order_by(_event.at.desc(), _event.id.desc()).limit(limit + 1)
    async with tenant_transaction(services.engine, caller) as connection:
        rows = (await connection.execute(statement)).all()
    return answer(page_of(rows, limit, _audit_event, lambda row: (row.at, row.id)))


def _wanted(query: AuditQuery) -> list[ColumnElement[bool]]:
    wanted = [
        _event[name] == value
        for name in ("action", "resource_type", "resource_id")
        if (value := getattr(query, name)) is not None
    ]
    if query.actor is not None:
        by_id = (cast(_event.key_id, Text), cast(_event.user_id, Text))
        # Operators are not to be found by who they are.
        by_subject = and_(_event.subject == query.actor, _event.actor != OPERATOR)
        wanted.append(or_(*(column == query.actor for column in by_id), by_subject))
    if query.from_ is not None:
        wanted.append(_event.at >= query.from_)
    if query.to is not None:
        wanted.append(_event.at < query.to)
    return wanted


def _audit_event(row: Any) -> AuditEvent:
    # An operator's subject may be a login of the database, and the address one of the operator's network.
    is_operator = row.actor == OPERATOR
    return AuditEvent(
        **{name: getattr(row, name) for name in ("id", "at", "action", "outcome", "request_id", "details")},
        actor=Actor(
            type=row.actor, key_id=row.key_id, user_id=row.user_id, subject=None if is_operator else row.subject
        ),
        resource=Resource(type=row.resource_type, id=row.resource_id),
        client_address=None if is_operator else row.client,
    )
