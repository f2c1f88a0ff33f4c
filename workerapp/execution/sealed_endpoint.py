"""An endpoint as it is stored, and how its secrets come back into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from workerapp.contract.endpoint_secrets import reveal_secrets
from workerapp.contract.specs import EndpointSpec
from workerapp.db.sealing import Sealer, endpoint_place


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedEndpoint:
    """A definition without its secrets, which are sealed for this endpoint of this organization."""

    id: UUID
    organization_id: UUID
    spec: Mapping[str, Any]
    sealed_headers: bytes | None

    def open(self, sealer: Sealer) -> EndpointSpec:
        """The definition with its secrets.

        Raises:
            SealingUnavailable: they cannot be opened.
        """
        if self.sealed_headers is None:
            return reveal_secrets(self.spec, None)
        place = endpoint_place(self.organization_id, self.id)
        return reveal_secrets(self.spec, sealer.open(self.sealed_headers, place))
