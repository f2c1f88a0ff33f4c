"""The Celery result backend on Postgres: states and results as rows, chords joined by the database.

A state, its event and a chord's join commit together, and the part that completes a chord publishes the body in that
same transaction. So a body runs once, however often a part is delivered and wherever a worker dies, and no
`celery.chord_unlock` task ever polls. Terminal states are final, and no message touches another organization's row.

Any Celery app can use it: see docs/celery.md. It reads four settings of the app: `default_organization`,
`result_max_bytes` (1 MiB), `result_patience` (30 s) and Celery's own `result_expires`.
"""

# ruff: noqa: PLR0917 - the signatures are Celery's
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from celery import states
from celery.exceptions import ImproperlyConfigured, Reject, TaskRevokedError
from kombu.utils.json import dumps

from workerapp.chords import ChordJoiner, acting_as
from workerapp.contract.progress import Progress
from workerapp.db.connection import LOST
from workerapp.json_results import storing
from workerapp.progress import held_progress
from workerapp.state_row import StateRow, call, storable_text
from workerapp.verdict import Verdict

logger = logging.getLogger(__name__)

T = TypeVar("T")

RECORD = call("record_task_state")
END_PART = call("end_chord_part", more=2)
#: Answers to a task's beginning that keep it from running. `void` is such as one that was revoked when it had been
#: fetched; one that succeeded may have links to publish yet.
FORBIDDING = {"refused": Verdict.REFUSE, "void": Verdict.SKIP}
RECORD_PROGRESS = "SELECT record_task_progress(%s, %s, %s)"
DEFAULT_ORGANIZATION = "GATEWAY_DEFAULT_ORGANIZATION"
PRUNED_AT_ONCE = 1000
NO_ORGANIZATION = (
    "The message names no organization that exists, so its states are not written. Set the app's default_organization "
    f"(or {DEFAULT_ORGANIZATION}) to the id of an organization, or send its id as the header organization_id."
)


class PostgresBackend(ChordJoiner):
    """Stores states through `record_task_state`, which refuses to touch another organization's row."""

    #: Retention is the sweeper's, or `cleanup`, which celery beat calls once a day.
    supports_autoexpire = False

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        self._default_organization = _organization_id(
            self.app.conf.get("default_organization") or os.environ.get(DEFAULT_ORGANIZATION)
        )
        self._has_complained = False

    # ------------------------------------------------------------ ends
    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """Store the result and return the chord's part together."""
        kept = store_result and not getattr(request, "ignore_result", False)
        if _is_part(request) and self._end_part(task_id, result, request, kept, state):
            return

        def end() -> None:
            self._end(task_id, result, request, kept, state)
            self._return_part(request, state, result)

        self._together(request, end, linked=_is_part(request))

    def mark_as_failure(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, store_result: bool = True,
        call_errbacks: bool = True, state: str = states.FAILURE,
    ) -> None:  # fmt: skip
        """Store the failure, return the chord's part and call the errbacks in one transaction."""
        mark = super().mark_as_failure

        def fail() -> None:
            if not store_result:
                self._end(task_id, exc, request, False, state, traceback)
            mark(task_id, exc, traceback, request, store_result, call_errbacks, state)

        # What Celery makes of a message whose task no worker has is no whole request.
        linked = any(getattr(request, name, None) for name in ("chord", "errbacks", "chain"))
        self._together(request, fail, linked=linked)

    def mark_as_revoked(
        self, task_id: str, reason: str = "", request: Any = None, store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:  # fmt: skip
        """Store the revocation and return the chord's part in one transaction."""

        def revoke() -> None:
            error = TaskRevokedError(reason)
            self._end(task_id, error, request, store_result, state)
            self._return_part(request, state, error)

        self._together(request, revoke, linked=_is_part(request))

    def _end(self, task_id: str, result: Any, request: Any, kept: bool, state: str, traceback: Any = None) -> None:
        """A task whose result is ignored reaches its end too, without the result; but no row is made for it."""
        if kept:
            self.store_result(task_id, result, state, traceback=traceback, request=request)
        elif not getattr(request, "is_eager", False):
            value = self.encode_result(result, state)
            self._record(self._row(task_id, value, state, traceback, request, existing=True), request)

    def _return_part(self, request: Any, state: str, result: Any) -> None:
        if _is_part(request):
            self.on_chord_part_return(request, state, result)

    def _end_part(self, task_id: str, result: Any, request: Any, kept: bool, state: str) -> bool:
        """Both in one statement; false for the part that completes its chord: that one has the body to publish."""
        value = self.encode_result(result, state)
        row = self._row(task_id, value, state, None, request, existing=not kept)
        part = (request.group_index, row.result or self.encoded(value, failed=False))
        return self._record(row, request, END_PART, part) != "last"

    # ------------------------------------------------------------ states
    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        self._record(self._row(task_id, result, state, traceback, request), request)
        return result

    def store_progress(self, request: Any, progress: Progress) -> bool:
        """Write how far a running task is, whatever its state; false: it could not be at this moment, or not at all."""
        row = (str(request.id), self._organization(request), progress.as_json())
        return bool(self._link.write(RECORD_PROGRESS, row)[0])

    def _record(self, row: StateRow, request: Any, statement: str = RECORD, more: tuple[Any, ...] = ()) -> str:
        parameters = row.parameters() + more
        with storing():
            (outcome,) = self._patiently(request, lambda: self._link.write(statement, parameters))
        if outcome in ("refused", "unknown"):
            self._complain(outcome, row)
        if row.state == states.STARTED and request is not None and outcome in FORBIDDING:
            FORBIDDING[outcome].pronounce(request, organization_id=row.organization_id)
        return str(outcome)

    def _complain(self, outcome: str, row: StateRow) -> None:
        fields = {"task_id": row.task_id, "state": row.state, "organization_id": row.organization_id}
        if outcome == "refused":
            logger.error("task_state_refused", extra=fields)
        elif not self._has_complained:
            self._has_complained = True
            logger.error("task_state_without_organization", extra=fields | {"reason": NO_ORGANIZATION})

    def _row(
        self, task_id: str, value: Any, state: str, traceback: Any, request: Any, *, existing: bool = False
    ) -> StateRow:
        failed = state in self.EXCEPTION_STATES
        encoded = None if value is None or _is_celerys_own(state, value) else self.encoded(value, failed=failed)
        delivery = getattr(request, "delivery_info", None) or {}
        children = self.current_task_children(request)
        return StateRow(
            task_id=str(task_id),
            organization_id=self._organization(request),
            state=state,
            result=encoded if state == states.SUCCESS and not existing else None,
            error=encoded if failed else None,
            progress=held_progress(request) if failed or state == states.SUCCESS else encoded,
            traceback=None if traceback is None else storable_text(str(traceback), self._max_bytes),
            name=getattr(request, "task", None),
            worker=getattr(request, "hostname", None),
            retries=getattr(request, "retries", None),
            queue=delivery.get("routing_key"),
            root_id=getattr(request, "root_id", None),
            parent_id=getattr(request, "parent_id", None),
            group_id=getattr(request, "group", None),
            children=None if children is None else dumps(children),
            existing=existing,
        )

    def _forget(self, task_id: str) -> None:
        self._patiently(None, lambda: self._link.execute("SELECT forget_task(%s)", (task_id,)))

    def cleanup(self) -> None:
        """Delete this app's tasks that ended longer than `result_expires` ago."""
        if not self.expires or not self._default_organization:
            return
        age = timedelta(seconds=self.expires)
        parameters = (age, PRUNED_AT_ONCE, self._default_organization, list(self.app.tasks))
        while self._link.execute("SELECT prune_tasks(%s, %s, %s, %s)", parameters) == [(PRUNED_AT_ONCE,)]:
            pass

    # ------------------------------------------------------------ patience
    def _together(self, request: Any, work: Callable[[], None], *, linked: bool) -> None:
        """Do all the writes of `work` in one transaction, and all of them again if the database went away."""

        def attempt() -> None:
            with self._link.transaction() if linked else nullcontext():
                work()

        with acting_as(request):
            self._patiently(request, attempt)

    def _patiently(self, request: Any, work: Callable[[], T]) -> T:
        """Hand a running task's message back if its state cannot be written: nothing is acknowledged without its row.

        Raises:
            Reject: the database was away for too long.
        """
        try:
            return self._link.patiently(work)
        except LOST as error:
            if self._link.open is not None or getattr(request, "called_directly", True):
                raise
            logger.error("task_handed_back", extra={"task_id": request.id, "task": request.task})  # noqa: TRY400
            raise Reject(reason=error, requeue=True) from error


def _is_part(request: Any) -> bool:
    return request is not None and bool(request.chord and request.group and request.id)


def _is_celerys_own(state: str, value: Any) -> bool:
    """What Celery says of a task that begins is in the row already: its worker."""
    return state == states.STARTED and isinstance(value, dict) and value.keys() == {"pid", "hostname"}


def _organization_id(value: Any) -> str | None:
    try:
        return None if not value else str(UUID(str(value)))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"default_organization is {value!r}; it must be the id of an organization, such as "
            "0199f6a2-0000-7000-8000-000000000000."
        ) from error
