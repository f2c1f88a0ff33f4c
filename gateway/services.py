"""What handlers work with: made once when the server starts, found through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection

from gateway.auth.failed_attempts import FailedAttempts
from gateway.auth.jwts import Jwts
from gateway.auth.key_finder import KeyFinder
from gateway.auth.key_watch import KeyWatch
from gateway.auth.stream_tokens import StreamTokens
from gateway.imports import Imports
from gateway.launcher import Launcher
from gateway.metrics import Metrics
from gateway.outbox import Hints
from gateway.quotas.capacity import Capacity
from gateway.quotas.plan_finder import PlanFinder
from gateway.quotas.request_limits import RequestLimits
from gateway.settings import GatewaySettings
from gateway.stream.event_log import EventLog
from gateway.stream.hub import Hub, Room
from gateway.stream.tail import Tail
from gateway.submission.task_types import TaskTypes


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
    task_types: TaskTypes
    hints: Hints
    hub: Hub
    log: EventLog
    tail: Tail
    metrics: Metrics
    imports: Imports
    plans: PlanFinder
    request_limits: RequestLimits
    failed_attempts: FailedAttempts
    capacity: Capacity

    def most_streams(self, organization_id: UUID) -> int:
        """How many streams of the organization may be open here."""
        most = self.settings.stream.max_streams_per_organization
        return min(most, self.plans.known(organization_id).open_streams or most)

    def most_tests_per_set(self, organization_id: UUID) -> int:
        """How many tests a test set of the organization may have."""
        most = self.settings.max_tests_per_set
        return min(most, self.plans.known(organization_id).max_tests_per_set or most)

    def room_for(self, organization_id: UUID) -> Room:
        """Whether the organization may open one more stream here."""
        return self.hub.room_for(organization_id, self.most_streams(organization_id))


def services_of(connection: HTTPConnection) -> Services:
    """The parts of the gateway that got the request."""
    return cast("Services", connection.state.services)
