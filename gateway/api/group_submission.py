"""Submitting a group of runs: its rows, the task that starts the runs, and the answer that tells where to watch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.api.answers import WEBSOCKET, Links, Out
from gateway.api.callbacks import Callback
from gateway.api.idempotency import Made
from gateway.auth.stream_tokens import Issuer
from gateway.launcher import LaunchOptions
from gateway.quotas.run_size import size_of_run
from gateway.services import Services
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller
from workerapp.contract.states import RunStatus
from workerapp.contract.tasks import EXECUTE_TEST_CONFIGURATION, EXECUTE_TEST_SET
from workerapp.db import tables


class QueuedRun(Out):
    """One of the runs."""

    test_run_id: UUID
    test_configuration_id: UUID
    task_id: str
    links: Links


class RunGroupSubmitted(Out):
    """A group of runs that is queued, and the task that carries it."""

    task_id: str
    run_group_id: UUID
    status: RunStatus
    runs: list[QueuedRun]
    links: Links
    stream_token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPlan:
    """A group to be made: its runs are of these configurations, in this order."""

    test_set_id: UUID
    name: str | None
    configuration_ids: Sequence[UUID]
    baseline_place: int
    callback: Callback


async def submit_group(connection: AsyncConnection, services: Services, issuer: Issuer, planned: GroupPlan) -> Made:
    """Queue the group for the issuer's caller, in the open transaction; 202 and a `RunGroupSubmitted`.

    Raises:
        TooManyRuns, TooManyQueuedTests, TooManyTests: the organization has no room for its runs.
    """
    task_id, caller = str(uuid4()), issuer.caller
    sizes = {key: await size_of_run(connection, caller, key) for key in planned.configuration_ids}
    await services.capacity.check_runs(connection, caller, [*sizes.values()])
    group_id = await _insert_group(connection, caller, task_id, planned)
    runs = await _insert_runs(connection, services, caller, group_id, sizes)
    await _insert_tasks(connection, services, caller, task_id, runs)
    baseline_id = runs[planned.baseline_place].test_run_id
    group = tables.run_group
    await connection.execute(update(group).where(group.c.id == group_id).values(baseline_id=baseline_id))
    await services.launcher.task_launcher(
        connection,
        EXECUTE_TEST_SET,
        str(group_id),
        current_user=caller,
        options=LaunchOptions(task_id=task_id, run_group_id=group_id),
    )
    subject, links = Subject(SubjectKind.RUN_GROUP, str(group_id)), group_links(group_id)
    body = RunGroupSubmitted(
        task_id=task_id,
        run_group_id=group_id,
        status=RunStatus.QUEUED,
        runs=runs,
        links=links | planned.callback.links(),
        stream_token=issuer.for_subject(subject),
    )
    return Made(status=202, location=links["self"], body=body, subject=subject)


async def _insert_group(connection: AsyncConnection, caller: Caller, task_id: str, planned: GroupPlan) -> UUID:
    group = {
        "organization_id": caller.organization_id,
        "test_set_id": planned.test_set_id,
        "name": planned.name,
        "task_id": task_id,
        "planned": len(planned.configuration_ids),
        **planned.callback.columns(),
    }
    made = await connection.execute(insert(tables.run_group).values(**group).returning(tables.run_group.c.id))
    group_id: UUID = made.scalar_one()
    return group_id


async def _insert_runs(
    connection: AsyncConnection, services: Services, caller: Caller, group_id: UUID, sizes: Mapping[UUID, int]
) -> list[QueuedRun]:
    """A run for each configuration, in this order; `sizes`: how many results are expected of each."""
    run = tables.test_run.c
    rows = [
        {
            "organization_id": caller.organization_id,
            "test_configuration_id": configuration_id,
            "run_group_id": group_id,
            "group_place": place,
            "task_id": str(uuid4()),
            "expected": expected,
            "created_by": caller.user_id,
            "deadline_at": func.now() + timedelta(seconds=services.settings.run_deadline_seconds),
        }
        for place, (configuration_id, expected) in enumerate(sizes.items())
    ]
    statement = insert(tables.test_run).values(rows)
    made = await connection.execute(
        statement.returning(run.id, run.test_configuration_id, run.task_id, run.group_place)
    )
    return [
        QueuedRun(
            test_run_id=row.id,
            test_configuration_id=row.test_configuration_id,
            task_id=row.task_id,
            links={"self": f"/v1/test-runs/{row.id}", "task": f"/v1/tasks/{row.task_id}"},
        )
        for row in sorted(made, key=lambda row: int(row.group_place))
    ]


async def _insert_tasks(
    connection: AsyncConnection, services: Services, caller: Caller, task_id: str, runs: Sequence[QueuedRun]
) -> None:
    """The runs' tasks are published when the group begins; until then they wait, and can be read and cancelled."""
    same = {
        "organization_id": caller.organization_id,
        "user_id": caller.user_id,
        "name": EXECUTE_TEST_CONFIGURATION,
        "queue": services.settings.default_queue,
        "root_id": task_id,
        "parent_id": task_id,
    }
    rows = [same | {"id": run.task_id, "test_run_id": run.test_run_id} for run in runs]
    await connection.execute(insert(tables.task).values(rows))


def group_links(group_id: UUID) -> Links:
    """Where a group is, its events, and what can be asked of it."""
    path = f"/v1/run-groups/{group_id}"
    return {
        "self": path,
        "events": f"{path}/events",
        "websocket": WEBSOCKET,
        "cancel": f"{path}/cancel",
        "differences": f"{path}/differences",
    }
