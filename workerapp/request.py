"""A request that ends the task of a message which was read too often instead of executing it once more."""

from __future__ import annotations

from typing import Any

from celery import signals
from celery.worker import state
from celery.worker.request import Request as CeleryRequest


class PoisonMessage(Exception):
    """The task was begun several times and its worker never lived to finish it."""


class Request(CeleryRequest):  # type: ignore[misc]  # Celery has no types
    """Asked whether it is revoked, just before it would run, a poisoned request fails its task and says yes."""

    _already_revoked: bool

    def revoked(self) -> bool:
        poisoned = (self.message.delivery_info or {}).get("poisoned")
        if not poisoned or self._already_revoked:
            return bool(super().revoked())
        self._already_revoked = True
        self._fail(self.message.delivery_info["read_count"] - 1)
        return True

    def _fail(self, begun: int) -> None:
        """Record, then acknowledge. Chords and errbacks see an ordinary failure."""
        error = PoisonMessage(f"The task was begun {begun} times and its worker was lost each time.")
        self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
        details: dict[str, Any] = {"args": self.args, "kwargs": self.kwargs, "traceback": None, "einfo": None}
        signals.task_failure.send(sender=self.task, task_id=self.id, exception=error, **details)
        self.send_event("task-failed", exception=repr(error), traceback="")
        self.acknowledge()
        state.task_ready(self)
