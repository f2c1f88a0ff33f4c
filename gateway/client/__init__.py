"""A client of the gateway for Python, asynchronous and synchronous: submit, follow, wait, read.

It needs httpx and pydantic and nothing else of this project; docs/client.md shows how it is used.
"""

from __future__ import annotations

from gateway.client.asynchronous import GatewayClient
from gateway.client.calls import Call
from gateway.client.errors import (
    AddressInvalid,
    Conflict,
    CursorExpired,
    Forbidden,
    GatewayError,
    Invalid,
    NotAGateway,
    NotFound,
    RateLimited,
    RequestRefused,
    ServerFailed,
    ServerUnreachable,
    StreamUnavailable,
    Unauthorized,
    Unavailable,
    WaitTimedOut,
)
from gateway.client.models import (
    Definition,
    Event,
    Fault,
    Model,
    Problem,
    RunGroup,
    RunGroupSubmitted,
    RunSubmitted,
    Statistics,
    Task,
    TaskSubmitted,
    TestResult,
    TestRun,
)
from gateway.client.patience import Patience
from gateway.client.subject import Subject
from gateway.client.synchronous import SyncGatewayClient

__all__ = [
    "AddressInvalid",
    "Call",
    "Conflict",
    "CursorExpired",
    "Definition",
    "Event",
    "Fault",
    "Forbidden",
    "GatewayClient",
    "GatewayError",
    "Invalid",
    "Model",
    "NotAGateway",
    "NotFound",
    "Patience",
    "Problem",
    "RateLimited",
    "RequestRefused",
    "RunGroup",
    "RunGroupSubmitted",
    "RunSubmitted",
    "ServerFailed",
    "ServerUnreachable",
    "Statistics",
    "StreamUnavailable",
    "Subject",
    "SyncGatewayClient",
    "Task",
    "TaskSubmitted",
    "TestResult",
    "TestRun",
    "Unauthorized",
    "Unavailable",
    "WaitTimedOut",
]
