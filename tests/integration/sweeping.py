"""What tests of the sweeper share: an app to sweep with, and rows to sweep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from celery import chord
from celery.app.task import Context

from tests.postgres import TestDatabase
from tests.records import PlannedRun, connect
from workerapp.app import WorkerApp, make_app
from workerapp.db.connection import ROLE
from workerapp.repair import REPAIR
from workerapp.settings import WorkerSettings
from workerapp.sweeper import Sweep


@contextmanager
def sweeping_app(database: TestDatabase) -> Iterator[WorkerApp]:
    app = make_app(WorkerSettings(database_url=database.url, lane_grace_seconds=1, sweep_pause_seconds=0.05))
    app.loader.import_default_modules()
    app.finalize()
    app.set_current()
    yield app
    app.close()
    app.database.engine.dispose()


def sweep(app: WorkerApp, connection: psycopg.Connection) -> int:
    return Sweep(app, connection, "here@test").run(REPAIR)


def add_lane(admin: psycopg.Connection, run: PlannedRun, **columns: Any) -> None:
    row = {"task_id": str(uuid4()), "age": "1 hour", "lease": None} | columns
    admin.execute(
        "INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id, created_at, lease_until)"
        " SELECT %s, count(*), %s, 1, %s, now() - %s::interval, now() + %s::interval FROM lane WHERE test_run_id = %s",
        (run.id, run.organization_id, row["task_id"], row["age"], row["lease"], run.id),
    )


def status(admin: psycopg.Connection, run: PlannedRun) -> str:
    row = admin.execute("SELECT status FROM test_run WHERE id = %s", (run.id,)).fetchone()
    assert row is not None
    return str(row[0])


def sweep_rows(admin: psycopg.Connection) -> dict[str, tuple[Any, ...]]:
    rows = admin.execute("SELECT step, node, done, done_in_all, error FROM sweep_step").fetchall()
    return {row[0]: row[1:] for row in rows}


def state(admin: psycopg.Connection, task_id: str) -> str | None:
    row = admin.execute("SELECT state FROM task WHERE id = %s", (task_id,)).fetchone()
    return None if row is None else str(row[0])


@dataclass(frozen=True)
class Chord:
    """A chord of two in the queue: the ids of its members and of its body."""

    group_id: str
    members: tuple[str, ...]
    body: str


def publish_chord(app: WorkerApp, organization_id: UUID) -> Chord:
    result = chord([app.signature("echo", (n,)) for n in range(2)], app.signature("echo")).apply_async(
        headers={"organization_id": str(organization_id)}
    )
    return Chord(result.parent.id, tuple(member.id for member in result.parent.results), result.id)


def finish(app: WorkerApp, organization_id: UUID, of: Chord, member: str) -> None:
    """As a worker does that has executed a member."""
    place = of.members.index(member)
    request = Context(
        id=member, group=of.group_id, group_index=place, chord={"task": "echo"}, organization_id=str(organization_id)
    )
    request.chord = app.backend.decode(read_body(app, of.group_id))
    app.backend.mark_as_done(member, place, request=request)


def read_body(app: WorkerApp, group_id: str) -> str:
    with connect(app.settings.database_url, role=ROLE) as worker:
        row = worker.execute("SELECT body::text FROM read_chord(%s)", (group_id,)).fetchone()
    assert row is not None
    return str(row[0])
