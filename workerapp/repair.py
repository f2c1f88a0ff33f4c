"""The steps of repair: each finds what got stuck or lost, puts it right, and tells how much there was.

`REPAIR` is the one place that lists them. A step looks on the sweeper's connection, in autocommit mode, and helps in
transactions of its own, one for each thing, so that one that fails holds up no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from workerapp.base import BaseTask, acting_for
from workerapp.contract import tasks
from workerapp.contract.caller import ORGANIZATION_HEADER, USER_HEADER
from workerapp.db.connection import Connection
from workerapp.db.statements import clause
from workerapp.execution.plan import plan_rest

if TYPE_CHECKING:
    from workerapp.app import WorkerApp

logger = logging.getLogger(__name__)

RUNS = "SELECT organization_id, test_run_id FROM runs_in_need(make_interval(secs => %s), %s) WHERE need = %s"
GROUPS = "SELECT organization_id, run_group_id FROM groups_in_need(make_interval(secs => %s), %s)"
#: As many tasks are looked at in one sweep, from either side of a random place.
LOOKED_AT = 1000
LOST_TASKS = """
    SELECT task_id, organization_id, name, state, worker
    FROM lost_tasks(make_interval(secs => %s), make_interval(secs => %s), %s, %s)
"""
END_LOST_TASK = "SELECT end_lost_task(%s, %s, %s)"
LOST = (
    "The task was {state} and is lost: its message is no longer in the queue, and no worker that is alive has it. It"
    " was acknowledged before it had ended, by a worker that died or by a task that gave itself up (Ignore, Reject)."
)
CHORD_PARTS = """
    SELECT group_id, organization_id, task_id, state, error FROM lost_chord_parts(make_interval(secs => %s), %s)
"""
CHORD_BODIES = """
    SELECT group_id, organization_id, user_id, test_run_id, size FROM lost_chord_bodies(make_interval(secs => %s), %s)
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the sweeper does; `work` returns how much there was to do."""

    name: str
    work: Callable[[WorkerApp, Connection], int]


def settle_runs(app: WorkerApp, connection: Connection) -> int:
    """Settle runs that are due: every test ended, cancelled without a lane that sees it, or past the deadline."""

    def settle(organization_id: UUID, run: UUID) -> None:
        with app.database.session(organization_id) as db:
            db.execute(clause("runs", "settle"), {"run": run})

    return _help_runs(app, connection, "settle", settle)


def revive_runs(app: WorkerApp, connection: Connection) -> int:
    """Give new lanes to runs whose own died."""
    from workerapp.tasks.test_run import revive  # noqa: PLC0415 - tasks are imported when the worker starts

    task: BaseTask = app.tasks[tasks.COLLECT_RESULTS]

    def add_lanes(organization_id: UUID, run: UUID) -> None:
        with _for_tenant(organization_id), app.database.session(organization_id) as db:
            revive(task, db, run)

    return _help_runs(app, connection, "revive", add_lanes)


def plan_runs(app: WorkerApp, connection: Connection) -> int:
    """Plan the rest of runs that have begun with their first tests, and whose own task did not live to do it."""

    def plan(organization_id: UUID, run: UUID) -> None:
        with app.database.session(organization_id) as db:
            plan_rest(db, run)

    return _help_runs(app, connection, "plan", plan)


def settle_groups(app: WorkerApp, connection: Connection) -> int:
    """Settle groups whose runs have all ended, and which nobody else has settled."""
    settings = app.settings.sweeper
    done = 0
    for organization_id, group in connection.execute(GROUPS, (settings.grace, settings.batch)).fetchall():
        fields = {"organization_id": str(organization_id), "run_group_id": str(group)}
        with _helping("run_group_settled_late", **fields) as helped, app.database.session(organization_id) as db:
            db.execute(clause("groups", "settle"), {"group": group})
            done += helped()
    return done


def end_lost_tasks(app: WorkerApp, connection: Connection) -> int:
    """End tasks that have neither a message in the queue nor a worker: nobody else would."""
    settings = app.settings.sweeper
    if not app.settings.broker_is_database or not settings.lost_task_after:
        return 0  # what RabbitMQ or Redis has delivered is theirs to deliver again
    row = (settings.dead_node_after, settings.lost_task_after, LOOKED_AT, settings.batch)
    done = 0
    for task_id, organization_id, name, state, worker in connection.execute(LOST_TASKS, row).fetchall():
        fields = {"task_id": task_id, "organization_id": str(organization_id), "task": name, "worker": worker}
        with _helping("task_lost", state=state, **fields) as helped:
            ended = connection.execute(END_LOST_TASK, (task_id, state, LOST.format(state=state))).fetchone()
            done += helped() if ended == (True,) else 0
    return done


def return_chord_parts(app: WorkerApp, connection: Connection) -> int:
    """Tell chords of members that ended without a worker, such as those that were revoked while they waited."""
    settings = app.settings.sweeper
    rows = connection.execute(CHORD_PARTS, (settings.grace, settings.batch)).fetchall()
    done = 0
    for group_id, organization_id, task_id, state, error in rows:
        with _helping("chord_part_returned", group_id=group_id, task_id=task_id) as helped:
            member = {"id": task_id, "group": group_id, "group_index": None, "chord": None}
            request = SimpleNamespace(**member, **{ORGANIZATION_HEADER: str(organization_id)})
            with _for_tenant(organization_id):
                app.backend.on_chord_part_return(request, state, app.backend.exception_to_python(error))
            done += helped()
    return done


def send_chord_bodies(app: WorkerApp, connection: Connection) -> int:
    """Send again the bodies of complete chords that are neither in a queue nor begun."""
    if not app.settings.broker_is_database:
        return 0  # there the outbox keeps a message until its task begins
    settings = app.settings.sweeper
    rows = connection.execute(CHORD_BODIES, (settings.grace, settings.batch)).fetchall()
    done = 0
    for group_id, organization_id, user_id, test_run_id, size in rows:
        with _helping("chord_body_sent", group_id=group_id) as helped:
            with _for_tenant(organization_id, user_id, test_run_id):
                connection.execute("SELECT reopen_chord(%s)", (group_id,))
                app.backend.set_chord_size(group_id, size)
            done += helped()
    return done


def remove_dead_nodes(app: WorkerApp, connection: Connection) -> int:
    """Remove the queues and reports of workers that are gone."""
    statement = "SELECT remove_dead_nodes(make_interval(secs => %s))"
    return _number(connection, statement, app.settings.sweeper.dead_node_after)


def skip_webhooks(app: WorkerApp, connection: Connection) -> int:
    """Skip what still waits for endpoints that are disabled, such as what was just being sent when they were."""
    return _number(connection, "SELECT webhook_sweep(%s)", app.settings.sweeper.batch)


def _number(connection: Connection, statement: LiteralString, value: float) -> int:
    """What a function of the database says there was to do."""
    row = connection.execute(statement, (value,)).fetchone()
    return 0 if row is None else int(row[0])


REPAIR = (
    Step("plan_runs", plan_runs),
    Step("settle_runs", settle_runs),
    Step("revive_runs", revive_runs),
    Step("settle_groups", settle_groups),
    Step("end_lost_tasks", end_lost_tasks),
    Step("return_chord_parts", return_chord_parts),
    Step("send_chord_bodies", send_chord_bodies),
    Step("remove_dead_nodes", remove_dead_nodes),
    Step("skip_webhooks", skip_webhooks),
)


#: What a run needed, as the log tells of it.
_HELP = {"plan": "run_planned_late", "settle": "run_settled_late", "revive": "run_revived"}


def _help_runs(app: WorkerApp, connection: Connection, need: str, work: Callable[[UUID, UUID], None]) -> int:
    settings = app.settings.sweeper
    done = 0
    for organization_id, run in connection.execute(RUNS, (settings.grace, settings.batch, need)).fetchall():
        with _helping(_HELP[need], organization_id=str(organization_id), test_run_id=str(run)) as helped:
            work(organization_id, run)
            done += helped()
    return done


@contextmanager
def _helping(event: str, **fields: Any) -> Iterator[Callable[[], int]]:
    """Log what was helped with; a failure is logged and ends here, for it is met again at the next sweep."""

    def helped() -> int:
        logger.warning(event, extra=fields)
        return 1

    try:
        yield helped
    except Exception:
        logger.exception("not_repaired", extra=fields | {"repair": event})


@contextmanager
def _for_tenant(organization_id: UUID, user_id: UUID | None = None, test_run_id: UUID | None = None) -> Iterator[None]:
    """Publish and record for this tenant, as its own task would."""
    named = {ORGANIZATION_HEADER: organization_id, USER_HEADER: user_id, tasks.TEST_RUN_HEADER: test_run_id}
    request = SimpleNamespace(**{name: None if value is None else str(value) for name, value in named.items()})
    token = acting_for.set(request)
    try:
        yield
    finally:
        acting_for.reset(token)
