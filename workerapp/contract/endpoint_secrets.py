"""The secrets of an endpoint, taken out of its definition to be sealed and put back to be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workerapp.contract.auth import SECRET_FIELDS
from workerapp.contract.specs import EndpointSpec

HIDDEN = "***"


def hide_secrets(spec: EndpointSpec) -> dict[str, Any]:
    """The definition as it is stored and answered: `***` in the place of each secret."""
    hidden = spec.model_dump(mode="json")
    hidden["headers"] = dict.fromkeys(spec.headers, HIDDEN)
    if spec.auth is not None:
        hidden["auth"][SECRET_FIELDS[spec.auth.type]] = HIDDEN
    return hidden


def secrets_of(spec: EndpointSpec) -> str | None:
    """What is to be sealed; None if there is nothing."""
    if not spec.headers and spec.auth is None:
        return None
    auth = None if spec.auth is None else getattr(spec.auth, SECRET_FIELDS[spec.auth.type])
    return json.dumps({"headers": spec.headers, "auth": auth})


def secret_values(spec: EndpointSpec) -> tuple[str, ...]:
    """What authenticates, as it must not be quoted."""
    return () if spec.auth is None else (getattr(spec.auth, SECRET_FIELDS[spec.auth.type]),)


def reveal_secrets(hidden: Mapping[str, Any], opened: str | None) -> EndpointSpec:
    """The definition with its secrets, from what was stored and the text that was sealed with it."""
    secrets: dict[str, Any] = {} if opened is None else json.loads(opened)
    if not isinstance(secrets.get("headers"), dict):
        # Sealed when headers were the only secrets.
        secrets = {"headers": secrets}
    auth = hidden.get("auth")
    if auth is not None:
        auth = auth | {SECRET_FIELDS[auth["type"]]: secrets["auth"]}
    return EndpointSpec.model_validate({**hidden, "headers": secrets["headers"], "auth": auth})
