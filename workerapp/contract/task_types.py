"""What a worker reports of a registered task, for the gateway to tell callers and to hold submissions against."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

#: Where a package names its modules with tasks.
ENTRY_POINTS = "task_status_gateway.tasks"


class TaskType(BaseModel):
    """A task, by the name it is registered under."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str | None
    #: Where it goes when its submission names no queue; none for the default one.
    queue: str | None
    #: JSON Schema of an object with `args` and `kwargs`.
    arguments: dict[str, Any]
