"""What handlers work with: made once when the server starts, found through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection

from gateway.auth.jwts import Jwts
from gateway.auth.key_finder import KeyFinder
from gateway.auth.key_watch import KeyWatch
from gateway.auth.stream_tokens import StreamTokens
from gateway.imports import Imports
from gateway.launcher import Launcher
from gateway.metrics import Metrics
from gateway.outbox import Hints
from gateway.settings import GatewaySettings
from gateway.stream.event_log import EventLog
from gateway.stream.hub import Hub
from gateway.stream.tail import Tail


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The parts of a running gateway."""

    settings: GatewaySettings
    engine: AsyncEngine
    keys: KeyFinder
    key_watch: KeyWatch
    jwts: Jwts
    stream_tokens: StreamTokens
    launcher: Launcher
    hints: Hints
    hub: Hub
    log: EventLog
    tail: Tail
    metrics: Metrics
    imports: Imports


def services_of(connection: HTTPConnection) -> Services:
    """The parts of the gateway that got the request."""
    return cast("Services", connection.state.services)
