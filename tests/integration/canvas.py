"""What the tests of results and canvases share: an app, a worker and one organization's rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from celery._state import get_current_app

from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from tests.stack.services import EXTRA_TASKS, Worker
from tests.waiting import ended_task, until
from workerapp.app import WorkerApp, make_app
from workerapp.db.link import sessions_for
from workerapp.settings import WorkerSettings

CANVAS_TASKS = "tests.stack.canvas_tasks"
NOBODY = "a-queue-without-consumers"
#: Long enough for a loaded machine.
PATIENCE = 20.0


@dataclass(frozen=True)
class Canvas:
    """One organization's way to call tasks, and to look at what came of them."""

    app: WorkerApp
    admin: psycopg.Connection
    organization_id: UUID

    def call(self, signature: Any, **options: Any) -> Any:
        return signature.apply_async(headers={"organization_id": str(self.organization_id)}, **options)

    def get(self, signature: Any) -> Any:
        return self.call(signature).get(timeout=PATIENCE)

    def column(self, task_id: str, name: str) -> Any:
        row = self.admin.execute(f"SELECT {name} FROM task WHERE id = %s".encode(), (task_id,)).fetchone()
        return None if row is None else row[0]

    def ended(self, task_id: str) -> str:
        return ended_task(self.admin, task_id, PATIENCE)

    def events(self, task_id: str) -> list[str]:
        rows = self.admin.execute("SELECT seq, type FROM task_event WHERE subject_id = %s ORDER BY id", (task_id,))
        found = rows.fetchall()
        assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
        return [kind.removeprefix("task.") for _, kind in found]

    def named(self, name: str) -> list[str]:
        """The ids of this organization's tasks of that name."""
        statement = "SELECT id FROM task WHERE name = %s AND organization_id = %s ORDER BY created_at"
        return [row[0] for row in self.admin.execute(statement, (name, self.organization_id)).fetchall()]

    def results_of(self, name: str, count: int) -> list[Any]:
        """The results of so many tasks of that name, once all of them have ended."""

        def all_of_them() -> list[str]:
            ids = self.named(name)
            return ids if len(ids) >= count else []

        ids = until(all_of_them, PATIENCE)
        assert [self.ended(task_id) for task_id in ids] == ["SUCCESS"] * count
        return [self.column(task_id, "result") for task_id in ids]


@contextmanager
def canvas_app(database: TestDatabase, **settings: Any) -> Iterator[WorkerApp]:
    app = make_app(WorkerSettings(database_url=database.url, **settings))
    try:
        yield app
    finally:
        app.close()
        sessions_for(app.settings.database).close()


@contextmanager
def canvas(app: WorkerApp, database: TestDatabase) -> Iterator[Canvas]:
    """Shared tasks are called through the current app, so it is made current for a test and no longer."""
    previous = get_current_app()
    app.set_current()
    try:
        with connect(database.admin_url) as admin:
            yield Canvas(app, admin, add_organization(admin))
    finally:
        previous.set_current()


def canvas_worker(database: TestDatabase, **options: Any) -> Worker:
    return Worker(database, include=(EXTRA_TASKS, CANVAS_TASKS), **options)
