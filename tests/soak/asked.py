"""What clients ask for: one task to its end, or an organization's events."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import aiohttp

from tests.soak.truth import Stored
from tests.soak.watcher import EARLIEST, Access, Habits, StreamWatcher, Watcher, pairs
from workerapp.contract.events import TERMINAL_TYPES


class SubjectWatcher(StreamWatcher):
    """Follows one task to its end."""

    def __init__(
        self, access: Access, task_id: str, chance: random.Random, habits: Habits, *, after: str | None = "0"
    ) -> None:
        super().__init__(access, f"/v1/tasks/{task_id}/events", chance, habits)
        self._task_id = task_id
        self.cursor = after
        self._begins_behind = 0

    def wants(self, row: Stored) -> bool:
        return row.subject == self._task_id and row.seq > self._begins_behind

    def take(self, event: Mapping[str, Any]) -> None:
        super().take(event)
        if event["subject"] != self._task_id:
            self.problems.append(f"{self._path} was told {event}")
        self.is_done = event["type"] in TERMINAL_TYPES

    def begin_at(self, snapshot: Mapping[str, Any]) -> None:
        if self.told.count or self._begins_behind:
            super().begin_at(snapshot)
        self._begins_behind = snapshot["seq"]
        self.is_done = snapshot["data"]["status"] in {"SUCCESS", "FAILURE", "REVOKED"}

    def begin_anew(self) -> None:
        self.problems.append(f"{self._path} was reset")
        super().begin_anew()


class OrganizationWatcher(Watcher):
    """Asks for the events of an organization, and is done when it has as many as there are."""

    def __init__(self, access: Access, chance: random.Random, habits: Habits) -> None:
        super().__init__(access, "/v1/events", chance, habits)
        self.cursor = EARLIEST

    def wants(self, row: Stored) -> bool:
        asked, query = (("types", row.type), ("task_name", row.task_name), ("status", row.status)), self.access.query
        is_ours = row.organization_id == self.access.organization_id
        return is_ours and all(name not in query or value in query[name] for name, value in asked)

    def take(self, event: Mapping[str, Any]) -> None:
        super().take(event)
        self._check_total()

    def expect(self, total: int) -> None:
        super().expect(total)
        self._check_total()

    async def is_at_the_end(self, session: aiohttp.ClientSession) -> bool:
        """Whether nothing is left behind the last cursor."""
        assert self.cursor is not None
        async with session.get(
            self.url(), params=pairs({**self.access.query, "after": [self.cursor]}), headers=self.access.headers
        ) as response:
            return response.status == 200 and (await response.json())["items"] == []

    def _check_total(self) -> None:
        self.is_done = self._total is not None and self.told.count >= self._total
