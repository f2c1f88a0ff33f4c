"""One request to `gateway listen`: whether it is a genuine delivery, and how it is told, to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.cli.plain_text import excerpt
from workerapp.contract.json_values import decode
from workerapp.contract.webhook_signing import ID_HEADER, VerificationFailed, verify

_TIME, _ID, _TYPE, _FAULT = "%H:%M:%S", 40, 40, 200
#: Of the payload at least so much is shown, however narrow the terminal.
_LEAST = 40
#: Of an event's data: what is the same everywhere, or follows from the rest.
_NOT_SHOWN = frozenset({"links", "organization_id"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """What arrived; `fault` says why it is refused."""

    at: datetime
    id: str | None
    payload: dict[str, Any] | None
    is_verified: bool
    fault: str | None = None

    @property
    def type(self) -> str | None:
        """The type of the event, where it has one."""
        kind = (self.payload or {}).get("type")
        return kind if isinstance(kind, str) else None


def read(headers: Mapping[str, str], body: bytes, secret: str | None) -> Received:
    """Look at a delivery; without a secret nothing is verified, and only garbage is refused."""
    payload = _object(body)
    fault = None if payload is not None else "the body is no JSON object, as the payload of a delivery is"
    if secret is not None:
        try:
            verify([secret], headers, body)
        except VerificationFailed as failure:
            fault = str(failure)
    return Received(
        at=datetime.now(UTC),
        id=headers.get(ID_HEADER),
        payload=payload,
        is_verified=secret is not None and fault is None,
        fault=fault,
    )


def as_json(received: Received, answer: int) -> str:
    """A line for programs; `answer` is the status it was answered with."""
    return json.dumps(
        {
            "received_at": received.at.isoformat(),
            "id": received.id,
            "type": received.type,
            "verified": received.is_verified,
            "reason": _reason(received),
            "answer": answer,
            "payload": received.payload,
        }
    )


def as_line(received: Received, answer: int, width: int) -> str:
    """A line for people, of about that width."""
    kind = excerpt(received.type or "(no type)", _TYPE)
    name = excerpt(received.id or "(no id)", _ID)
    head = f"{received.at.astimezone():{_TIME}} {kind} {name} {_verdict(received)}, answered {answer}"
    if received.payload is None:
        return head
    return f"{head} {excerpt(_told(received.payload.get('data')), max(width - len(head) - 1, _LEAST))}"


def _told(data: Any) -> Any:
    """What people look for first."""
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if name not in _NOT_SHOWN}


def _verdict(received: Received) -> str:
    if received.is_verified:
        return "verified"
    return f"{'not verified' if received.fault is None else 'REFUSED'} ({_reason(received)})"


def _reason(received: Received) -> str | None:
    if received.is_verified:
        return None
    return excerpt(received.fault or "there is no secret", _FAULT)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = decode(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
