"""`/v1/stream-tickets`: tokens that open every stream of an organization, for clients that must not hold its key."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import In, Out, Time, answer
from gateway.api.body import read_body
from gateway.audit import Particulars, note
from gateway.errors import Fault, ValidationFailed
from gateway.services import services_of
from gateway.settings import GatewaySettings
from workerapp.contract.caller import Caller
from workerapp.db.tenant import tenant_transaction


class StreamTicketCreation(In):
    """How long the ticket shall be good."""

    ttl_seconds: Annotated[int, Field(ge=1)] | None = None


class StreamTicket(Out):
    """A ticket; it cannot be read again."""

    ticket: str
    expires_at: Time


async def create_stream_ticket(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    asked = await read_body(request, StreamTicketCreation, default=b"{}")
    seconds = _seconds(asked, services.settings)
    issuer = await services.stream_tokens.issuer(caller)
    async with tenant_transaction(services.engine, caller) as connection:
        await note(connection, request, caller, Particulars(details={"seconds": seconds}))
    # Its time begins when all else is done.
    ticket = issuer.for_organization(seconds)
    body = StreamTicket(ticket=ticket.token, expires_at=ticket.expires_at)
    return answer(body, 201, {"Cache-Control": "no-store"})


def _seconds(asked: StreamTicketCreation, settings: GatewaySettings) -> float:
    most = settings.stream_ticket_max_seconds
    if asked.ttl_seconds is None:
        return min(settings.stream_ticket_seconds, most)
    if asked.ttl_seconds > most:
        detail = f"The value is too large; a ticket is good for at most {most:g} seconds on this server."
        raise ValidationFailed(f"/ttl_seconds: {detail}", faults=[Fault(pointer="/ttl_seconds", detail=detail)])
    return asked.ttl_seconds
