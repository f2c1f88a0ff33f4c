"""`/v1/caller`: who the credential says is asking, and what that lets it do."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Links, Out, Time, answer
from gateway.auth.keys import Scope
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.db.tables import api_key, organization
from workerapp.db.tenant import tenant_transaction

_PATH = "/v1/caller"


class KnownCaller(Out):
    """Who shows the key or the token, for whom, and until when."""

    organization_id: UUID
    organization: str
    plan: str
    user_id: UUID | None
    #: None with a token of an identity provider, whose issuer calls its holder `subject`.
    key_id: UUID | None
    key_name: str | None
    subject: str | None
    scopes: list[Scope]
    expires_at: Time | None
    links: Links


async def get_caller(request: Request, caller: Caller) -> Response:
    is_shown = (api_key.c.organization_id == organization.c.id) & (api_key.c.id == caller.key_id)
    found = (
        select(organization.c.name.label("organization"), organization.c.plan, api_key.c.name.label("key_name"))
        .select_from(organization.outerjoin(api_key, is_shown))
        .where(organization.c.id == caller.organization_id)
    )
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        row = (await connection.execute(found)).mappings().one()
    return answer(
        KnownCaller(
            **row,
            organization_id=caller.organization_id,
            user_id=caller.user_id,
            key_id=caller.key_id,
            subject=caller.subject,
            scopes=[scope for scope in Scope if scope in caller.scopes],
            expires_at=caller.expires_at,
            links=_links(caller),
        )
    )


def _links(caller: Caller) -> Links:
    return {"self": _PATH, **({} if caller.key_id is None else {"api_key": f"/v1/api-keys/{caller.key_id}"})}
