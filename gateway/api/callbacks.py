"""`callback_url` of a submission: where the end of the run or group is told, whoever subscribes to what besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from yarl import URL

from gateway.api import webhook_endpoints
from gateway.api.answers import Links
from gateway.api.outbound_urls import check_url
from gateway.services import Services
from workerapp.contract.caller import Caller
from workerapp.contract.webhook_signing import new_secret

POINTER = "/callback_url"


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """Where the end is told, and by which endpoint; None of both tells nobody."""

    url: str | None = None
    endpoint_id: UUID | None = None

    def columns(self) -> dict[str, Any]:
        """Of the run or the group."""
        return {"callback_url": self.url, "callback_endpoint_id": self.endpoint_id}

    def links(self) -> Links:
        """Of the submission's answer."""
        return {} if self.endpoint_id is None else {"callback": webhook_endpoints.path_of(self.endpoint_id)}


def check_callback(services: Services, url: str | None) -> None:
    """Look whether the URL may be called.

    Raises:
        UrlRefused: it may not.
    """
    if url is not None:
        check_url(services.settings.outbound, url, POINTER)


async def find_callback(connection: AsyncConnection, services: Services, caller: Caller, url: str | None) -> Callback:
    """The endpoint of the checked URL's origin, which is made if the organization has none yet.

    Raises:
        TooManyWebhookEndpoints: it has as many as it may.
        SecretsUnavailable: the server cannot seal its secret.
    """
    if url is None:
        return Callback()
    store = webhook_endpoints.store_of(services, connection, caller, pointer=POINTER)
    origin = str(URL(url).origin())
    return Callback(url=url, endpoint_id=await store.call_back(origin, new_secret()))
