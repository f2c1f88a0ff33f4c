"""A webhook endpoint at a gateway, which is there for as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.cli.failures import CommandFailed, UsageInvalid
from gateway.cli.own_address import LOOPBACK
from gateway.cli.server import failure_of
from gateway.client import GatewayError, Invalid, Model, NotFound, SyncGatewayClient
from gateway.client.calls import create, remove
from workerapp.contract.outbound import SETTING

_PATH = "/v1/webhook-endpoints"
_HOW_TO_BE_CALLED = (
    f"Start the gateway and its workers with {SETTING}={LOOPBACK}, which is what `gateway up` does unless you set it; "
    "or listen where the gateway may call, and name that address with --url."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """An endpoint that the gateway knows, and what its deliveries are signed with."""

    id: str
    secret: str


class _Registered(Model):
    """A new endpoint as it is answered."""

    id: str
    secret: str


@asynccontextmanager
async def registered(client: SyncGatewayClient, url: str, event_types: Sequence[str]) -> AsyncIterator[Registration]:
    """Register an endpoint, for the event types that are the gateway's default if none are given, and remove it.

    Requests are made in threads, which no request to stop interrupts: what was begun is known, and removed.
    """
    registration = await asyncio.to_thread(_register, client, url, event_types)
    try:
        yield registration
    finally:
        await asyncio.to_thread(_remove, client, registration)


def _register(client: SyncGatewayClient, url: str, event_types: Sequence[str]) -> Registration:
    chosen = {"event_types": list(event_types)} if event_types else {}
    body = {"url": url, "description": "gateway listen", **chosen}
    try:
        endpoint = client.send(create(_PATH, body, _Registered))
    except Invalid as refusal:
        if refusal.code == "url_refused":
            raise UsageInvalid(f"{failure_of(refusal)}\n{_HOW_TO_BE_CALLED}") from refusal
        raise
    return Registration(id=endpoint.id, secret=endpoint.secret)


def _remove(client: SyncGatewayClient, registration: Registration) -> None:
    path = f"{_PATH}/{registration.id}"
    try:
        client.send(remove(path))
    except NotFound:
        return
    except GatewayError as error:
        failure = failure_of(error)
        raise CommandFailed(
            f"the webhook endpoint is still registered: {failure}\nRemove it with DELETE {client.server}{path}"
        ) from error
