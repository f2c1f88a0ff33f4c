"""The steps of retention: what is finished goes after a while, in batches; what is not finished stays, however old."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workerapp.db.connection import Connection
from workerapp.repair import Step
from workerapp.setting_groups import RetentionSettings

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

EVENTS = "SELECT removed, last_id FROM prune_events(make_interval(secs => %s), %s, %s)"


def prune_events(app: WorkerApp, connection: Connection) -> int:
    """Remove old events, page by page from the oldest."""
    settings = app.settings.retention
    removed = 0
    last_id: int | None = 0
    while last_id is not None:
        ((found, last_id),) = connection.execute(EVENTS, (settings.events, last_id, settings.batch))
        removed += found
    return removed


def _prune(name: str, *ages: Callable[[RetentionSettings], float]) -> Step:
    """The step that calls the function `name` with these ages, again and again until it finds less than a batch."""
    intervals = "make_interval(secs => %s), " * len(ages)
    statement = f"SELECT {name}({intervals}%s)".encode()

    def prune(app: WorkerApp, connection: Connection) -> int:
        settings = app.settings.retention
        row = (*(age(settings) for age in ages), settings.batch)
        removed = 0
        while True:
            ((found,),) = connection.execute(statement, row)
            removed += int(found)
            if found < settings.batch:
                return removed

    return Step(name, prune)


#: Results before the runs that they belong to.
RETENTION = (
    Step("prune_events", prune_events),
    _prune("prune_results", lambda settings: settings.results),
    _prune("prune_runs", lambda settings: settings.results),
    _prune("prune_finished_tasks", lambda settings: settings.results),
    _prune("prune_finished_chords", lambda settings: settings.chords, lambda settings: settings.results),
    _prune("prune_deliveries", lambda settings: settings.deliveries),
    _prune("prune_idempotency_keys", lambda settings: settings.idempotency_keys),
    _prune("prune_audit_events", lambda settings: settings.audit_events),
)
