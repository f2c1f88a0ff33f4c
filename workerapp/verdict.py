"""Whether a delivered task may be executed: found out before its code runs, and obeyed as its first step."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Any

from celery.exceptions import Ignore

logger = logging.getLogger(__name__)

#: The attribute of a request that keeps what was found out about it.
ATTRIBUTE = "verdict"


class Verdict(StrEnum):
    """What to do with a delivered message."""

    RUN = "run"
    #: It is a copy, or its task has ended.
    SKIP = "skip"
    #: It was begun too often, and its worker was lost each time.
    POISON = "poison"
    #: Its task is another organization's than the one that it names.
    REFUSE = "refuse"

    def pronounce(self, request: Any, **fields: Any) -> None:
        """Let the task obey, and log whatever keeps it from running."""
        setattr(request, ATTRIBUTE, self)
        if self is not Verdict.RUN:
            named = {"task": request.task, "task_id": request.id, "verdict": self.value}
            logger.warning("task_not_executed", extra=named | fields)


def obey(request: Any) -> None:
    """End the execution of a request that may not run.

    Raises:
        Ignore: it is a copy, or its task has ended, or is another organization's.
        PoisonMessage: it was begun too often.
    """
    verdict = getattr(request, ATTRIBUTE, None)
    if verdict in (Verdict.SKIP, Verdict.REFUSE):
        raise Ignore
    if verdict is Verdict.POISON:
        from workerapp.request import PoisonMessage  # noqa: PLC0415 - only a worker needs what it imports

        raise PoisonMessage("The task was begun again and again, and its worker was lost each time.")
