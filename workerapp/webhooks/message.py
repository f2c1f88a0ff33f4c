"""What is sent: the body, whose bytes are the same at every attempt, and headers that say who sends it and sign it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workerapp.contract.distribution import DISTRIBUTION, installed_version
from workerapp.contract.json_values import as_json
from workerapp.contract.webhook_signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecrets, sign
from workerapp.db.sealing import Sealer, webhook_headers_place, webhook_secrets_place
from workerapp.webhooks.attempt import Claim

_AGENT = f"{DISTRIBUTION}/{installed_version()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """Ready to be posted."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    #: What nobody may be told of it.
    secrets: tuple[str, ...]


class Composer:
    """Makes messages of claims."""

    def __init__(self, sealer: Sealer, public_url: str) -> None:
        """`public_url` is where links lead to; without it they stay as they are."""
        self._sealer, self._public_url = sealer, public_url.rstrip("/")

    def compose(self, claim: Claim, now: datetime) -> Message:
        """The message of an attempt that is made now.

        Raises:
            SealingUnavailable: the endpoint's secrets or headers do not open.
        """
        secrets, headers = self._secrets(claim).valid(now), self._headers(claim)
        body, timestamp = self._body(claim.payload), int(now.timestamp())
        ours = {
            "content-type": "application/json",
            "user-agent": _AGENT,
            ID_HEADER: str(claim.id),
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign(secrets, str(claim.id), timestamp, body),
        }
        theirs = {name: value for name, value in headers.items() if name.lower() not in ours}
        return Message(url=claim.url, headers=theirs | ours, body=body, secrets=(*secrets, *theirs.values()))

    def _secrets(self, claim: Claim) -> WebhookSecrets:
        place = webhook_secrets_place(claim.organization_id, claim.webhook_endpoint_id)
        return WebhookSecrets.model_validate_json(self._sealer.open(claim.sealed_secrets, place))

    def _headers(self, claim: Claim) -> dict[str, str]:
        if claim.sealed_headers is None:
            return {}
        place = webhook_headers_place(claim.organization_id, claim.webhook_endpoint_id)
        headers: dict[str, str] = json.loads(self._sealer.open(claim.sealed_headers, place))
        return headers

    def _body(self, payload: Mapping[str, Any]) -> bytes:
        data = payload.get("data", {})
        if self._public_url and "links" in data:
            links = {name: f"{self._public_url}{path}" for name, path in data["links"].items()}
            payload = {**payload, "data": {**data, "links": links}}
        return as_json(payload).encode()
