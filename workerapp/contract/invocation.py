"""One input tried against an endpoint: what was sent, what came back, and what was made of it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SentRequest(_Frozen):
    """The last request, as it was sent; secrets are `***`."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None


class ReceivedResponse(_Frozen):
    """Its response: the headers that help to understand it, and the body's beginning as text."""

    status: int
    headers: dict[str, str]
    body: str
    is_whole: bool


class InvocationResult(_Frozen):
    """What the task answers: `output` is what a test's result would have, and `error` why there is none."""

    request: SentRequest | None
    response: ReceivedResponse | None
    output: dict[str, Any] | None
    latency_ms: float | None
    attempts: int
    error: dict[str, Any] | None
