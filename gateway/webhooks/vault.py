"""What is secret of a webhook endpoint, sealed for the row that it is in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.errors import Fault, SecretsUnavailable
from workerapp.contract.webhook_signing import WebhookSecrets
from workerapp.db.sealing import Place, Sealer, SealingUnavailable, webhook_headers_place, webhook_secrets_place


@dataclass(frozen=True, kw_only=True, slots=True)
class Vault:
    """Seals and opens for the endpoints of one organization."""

    sealer: Sealer
    organization_id: UUID
    #: The field of the request that something is sealed for.
    pointer: str | None = None

    def seal_secrets(self, endpoint_id: UUID, secrets: WebhookSecrets) -> bytes:
        """What is stored of the secrets.

        Raises:
            SecretsUnavailable: the server has no key to seal with.
        """
        return self._seal(secrets.model_dump_json(), webhook_secrets_place(self.organization_id, endpoint_id))

    def seal_headers(self, endpoint_id: UUID, headers: Mapping[str, str]) -> bytes | None:
        """What is stored of the headers; None of none. Raises what `seal_secrets` does."""
        if not headers:
            return None
        return self._seal(json.dumps(dict(headers)), webhook_headers_place(self.organization_id, endpoint_id))

    def secrets_of(self, row: Any) -> WebhookSecrets:
        """The secrets of an endpoint.

        Raises:
            SecretsUnavailable: the server has no key that opens them.
        """
        try:
            opened = self.sealer.open(row.sealed_secrets, webhook_secrets_place(self.organization_id, row.id))
        except SealingUnavailable as error:
            raise self._unavailable(error) from None
        return WebhookSecrets.model_validate_json(opened)

    def header_names(self, row: Any) -> list[str] | None:
        """The names of an endpoint's headers; None if the server has no key that opens them."""
        if row.sealed_headers is None:
            return []
        try:
            opened = self.sealer.open(row.sealed_headers, webhook_headers_place(self.organization_id, row.id))
        except SealingUnavailable:
            return None
        return list(json.loads(opened))

    def _seal(self, text: str, place: Place) -> bytes:
        try:
            return self.sealer.seal(text, place)
        except SealingUnavailable as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: SealingUnavailable) -> SecretsUnavailable:
        if self.pointer is None:
            return SecretsUnavailable(str(error))
        return SecretsUnavailable(f"{self.pointer}: {error}", faults=[Fault(pointer=self.pointer, detail=str(error))])
