"""The tasks that workers have, as they report them to the database: no code of theirs is imported here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import jsonschema_rs
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.quotas.buckets import Clock
from gateway.settings import GatewaySettings
from workerapp.contract.task_types import TaskType

#: Stands for a value in what is said of it.
MASK = "The value"

logger = logging.getLogger(__name__)

_READ = text("SELECT name, hash, description, queue, arguments FROM task_types()")
_IS_SERVED = text("SELECT is_queue_served(:queue, :dead_after)")


@dataclass(frozen=True, slots=True)
class KnownType:
    """A task, and what tells whether it can be called with some arguments."""

    type: TaskType
    #: Where it goes when its submission names none.
    queue: str
    hash: str
    validator: Any


class TaskTypes:
    """One look at the database every `task_type_cache_seconds`; what callers may not submit is not known here."""

    def __init__(self, engine: AsyncEngine, settings: GatewaySettings, clock: Clock) -> None:
        self._engine = engine
        self._allowed = settings.task_allow
        self._default_queue = settings.default_queue
        self._seconds = settings.task_type_cache_seconds
        self._dead_after = timedelta(seconds=settings.worker_dead_seconds)
        self._clock = clock
        self._known: dict[str, KnownType] = {}
        #: By queues that callers may use: the answer, and how long it is believed.
        self._served: dict[str, tuple[bool, float]] = {}
        self._until = float("-inf")

    def allows(self, name: str) -> bool:
        """Whether callers may submit a task of this name."""
        return any(fnmatchcase(name, pattern) for pattern in self._allowed)

    async def find(self, name: str, *, anew: bool = False) -> KnownType | None:
        """The task of this name, as it was when the types were read last, or as it is now."""
        if anew:
            self._until = float("-inf")
        return (await self._current()).get(name)

    async def all(self) -> Sequence[KnownType]:
        """Every task that callers may submit, by name."""
        return list((await self._current()).values())

    async def is_served(self, queue: str) -> bool:
        """Whether a worker that has told its tasks consumes the queue; what none has told, it has not."""
        known, until = self._served.get(queue, (False, float("-inf")))
        if self._clock() >= until:
            async with self._engine.begin() as connection:
                row = await connection.execute(_IS_SERVED, {"queue": queue, "dead_after": self._dead_after})
            known = bool(row.scalar_one())
            self._served[queue] = (known, self._clock() + self._seconds)
        return known

    async def _current(self) -> dict[str, KnownType]:
        if self._clock() >= self._until:
            async with self._engine.begin() as connection:
                rows = (await connection.execute(_READ)).all()
            found = [self._known_type(row) for row in rows if self.allows(row.name)]
            self._known = {known.type.name: known for known in sorted(found, key=lambda known: known.type.name)}
            self._until = self._clock() + self._seconds
        return self._known

    def _known_type(self, row: Any) -> KnownType:
        """With the validator of before, where nothing has changed."""
        before = self._known.get(row.name)
        if before is not None and before.hash == row.hash:
            return before
        described = TaskType(name=row.name, description=row.description, queue=row.queue, arguments=row.arguments)
        return KnownType(described, row.queue or self._default_queue, row.hash, _validator(described))


def _validator(described: TaskType) -> Any:
    """Values are left out of its messages: they may be large, or secret."""
    try:
        return jsonschema_rs.Draft202012Validator(described.arguments, validate_formats=True, mask=MASK)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        # A pattern of another dialect, for example: then the task itself sees what it gets.
        logger.warning("task_type_not_understood", extra={"task": described.name, "reason": str(error)})
        return jsonschema_rs.Draft202012Validator(True)  # noqa: FBT003 - the schema of anything
