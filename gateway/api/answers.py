"""Answers as JSON, from frozen models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer
from starlette.responses import Response


class Out(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class In(BaseModel):
    """What is asked; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Time: TypeAlias = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]

#: Paths of related resources by what they are.
Links: TypeAlias = dict[str, str]
#: Where the same streams are carried over one WebSocket, by the paths they have by themselves.
WEBSOCKET = "/v1/ws"

_Item = TypeVar("_Item", bound=Out)


class Page(Out, Generic[_Item]):
    """Some of the items, and the cursor of the next page; none on the last one."""

    items: list[_Item]
    next_cursor: str | None


def answer(body: Out, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The model as JSON."""
    return Response(body.model_dump_json(), status, headers, "application/json")
