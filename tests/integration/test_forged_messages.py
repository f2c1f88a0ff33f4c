"""What a real worker does with messages that nobody of ours would publish: nothing of another organization changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import PlannedRun, add_organization, add_run_group, add_task, connect, plan, rows_of
from tests.stack.services import Worker
from tests.waiting import ended_task, until
from workerapp.app import Producer, make_app
from workerapp.contract import tasks
from workerapp.contract.events import QUEUE_CHANNEL
from workerapp.settings import WorkerSettings

#: What belongs to no organization is queued as this one's.
NOBODY = UUID(int=0)
#: No organization has this id.
UNKNOWN = "01890000-0000-7000-8000-000000000000"
#: The sweeper, too, would change rows of a run whose lanes do nothing.
QUIET = {"GATEWAY_SWEEP_PAUSE_SECONDS": "3600"}


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with Worker(module_database, concurrency=1, environment=QUIET) as running:
        yield running


@pytest.fixture
def admin(module_database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(module_database.admin_url) as connection:
        yield connection


@pytest.fixture
def victim(admin: psycopg.Connection) -> PlannedRun:
    """A run in the middle of its work."""
    run = plan(admin, add_organization(admin), tests=2)
    admin.execute(
        "INSERT INTO lane (test_run_id, number, organization_id, concurrency, task_id, leased_by, lease_until)"
        " VALUES (%s, 0, %s, 1, %s, %s, 'infinity')",
        (run.id, run.organization_id, add_task(admin, run.organization_id, name=tasks.RUN_LANE), uuid4()),
    )
    return run


@pytest.fixture
def attacker(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


def forge(
    admin: psycopg.Connection, name: str, arguments: dict[str, Any], headers: dict[str, Any], task_id: str = ""
) -> str:
    """Put a message into the queue past every check, and wait until the worker is done with it."""
    task_id = task_id or str(uuid4())
    (made,) = Producer().messages(name, (), arguments, headers={}, task_id=task_id)
    made.message["headers"] |= headers
    row = admin.execute(
        "INSERT INTO broker_message (queue, organization_id, rank, visible_at, task_id, message)"
        " VALUES (%s, %s, 9, now(), %s, %s) RETURNING id",
        (made.queue, NOBODY, task_id, Jsonb(made.message)),
    ).fetchone()
    admin.execute(f"NOTIFY {QUEUE_CHANNEL}".encode())
    left = "SELECT count(*) FROM broker_message WHERE id = %s OR task_id = %s"
    until(lambda: admin.execute(left, (row and row[0], task_id)).fetchone() == (0,), seconds=30)
    return task_id


def arguments_of(admin: psycopg.Connection, run: PlannedRun) -> dict[str, dict[str, Any]]:
    """What each task would be called with by whom the run belongs to."""
    found = admin.execute(
        "SELECT r.test_configuration_id, c.endpoint_id FROM test_run r"
        " JOIN test_configuration c ON c.id = r.test_configuration_id WHERE r.id = %s",
        (run.id,),
    ).fetchone()
    assert found is not None
    configuration, endpoint = map(str, found)
    group = str(add_run_group(admin, run.organization_id))
    return {
        tasks.ECHO: {"message": "hello"},
        tasks.COUNT_TEST_SETS: {},
        tasks.GET_TEST_CONFIGURATION: {"test_configuration_id": configuration},
        tasks.MANUAL_DB_EXAMPLE: {},
        tasks.COUNT_SLOWLY: {"to": 1, "pause": 0},
        tasks.EXECUTE_TEST_CONFIGURATION: {"test_configuration_id": configuration, "test_run_id": str(run.id)},
        tasks.EXECUTE_TEST_SET: {"run_group_id": group},
        tasks.COMPARE_RUNS: {"runs": [], "run_group_id": group},
        tasks.INVOKE_ENDPOINT: {"endpoint_id": endpoint, "asked": {"input": "?"}},
        tasks.RUN_LANE: {"test_run_id": str(run.id), "number": 0, "slice_number": 0},
        tasks.COLLECT_RESULTS: {"lanes": [], "test_run_id": str(run.id)},
    }


def _fails(reason: str) -> Callable[[UUID], tuple[str, str]]:
    return lambda _: ("FAILURE", reason)


def _answers(answer: str) -> Callable[[UUID], tuple[str, str]]:
    return lambda organization_id: ("SUCCESS", answer.replace("{organization}", str(organization_id)))


#: What comes of a task that is called with what another organization's would be called with.
OUTCOMES = {
    tasks.ECHO: _answers('"Message: hello, Organization: {organization}, User: unknown"'),
    tasks.COUNT_TEST_SETS: _answers('{"count": 0, "user_id": null, "organization_id": "{organization}"}'),
    tasks.GET_TEST_CONFIGURATION: _answers('{"id": null, "found": false}'),
    tasks.MANUAL_DB_EXAMPLE: _answers('{"test_set_count": 0}'),
    tasks.COUNT_SLOWLY: _answers("1"),
    tasks.EXECUTE_TEST_CONFIGURATION: _fails("The run does not exist."),
    tasks.EXECUTE_TEST_SET: _fails("The group of runs does not exist."),
    tasks.COMPARE_RUNS: _fails("The group of runs does not exist."),
    tasks.INVOKE_ENDPOINT: _fails("The endpoint does not exist, or is archived."),
    tasks.RUN_LANE: _fails("The run does not exist."),
    tasks.COLLECT_RESULTS: _fails("The run does not exist."),
}
NAMES = sorted(
    {value for name, value in vars(tasks).items() if name.isupper() and isinstance(value, str)}
    - {tasks.TEST_RUN_HEADER, tasks.RUN_GROUP_HEADER, tasks.JOIN_FAILURES_HEADER}
)


def test_every_task_of_the_worker_is_forged(module_database: TestDatabase) -> None:
    app = make_app(WorkerSettings(database_url=module_database.url))
    app.loader.import_default_modules()
    # Those of Celery, and of other tests in this process, are not the worker's.
    assert {name for name in app.tasks if not name.startswith(("celery.", "tests."))} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_of_one_organization_is_not_begun_for_another(
    admin: psycopg.Connection, worker: Worker, victim: PlannedRun, attacker: UUID, name: str
) -> None:
    arguments = arguments_of(admin, victim)[name]
    task_id = add_task(admin, victim.organization_id, name=name)
    before = rows_of(admin, victim.organization_id)
    forge(admin, name, arguments, {"organization_id": str(attacker)}, task_id)
    assert rows_of(admin, victim.organization_id) == before
    worker.wait_for(f"task_not_executed.*{task_id}.*refuse|refuse.*{task_id}.*task_not_executed")


@pytest.mark.parametrize("name", NAMES)
def test_a_task_of_ones_own_reaches_nothing_of_another_organization(
    admin: psycopg.Connection, worker: Worker, victim: PlannedRun, attacker: UUID, name: str
) -> None:
    arguments = arguments_of(admin, victim)[name]
    before = rows_of(admin, victim.organization_id)
    headers = {"organization_id": str(attacker), "test_run_id": str(victim.id), "retries": 3}
    task_id = forge(admin, name, arguments, headers)
    assert rows_of(admin, victim.organization_id) == before
    row = admin.execute(
        "SELECT organization_id, state, coalesce(result::text, task_error_message(error)) FROM task WHERE id = %s",
        (task_id,),
    ).fetchone()
    assert row == (attacker, *OUTCOMES[name](attacker))


@pytest.mark.parametrize("header", [None, "", "nobody", UNKNOWN, 7, ["{victim}", "{attacker}"], "{victim},{attacker}"])
@pytest.mark.parametrize("name", [tasks.COUNT_TEST_SETS, tasks.EXECUTE_TEST_CONFIGURATION, tasks.RUN_LANE])
def test_a_message_that_names_no_organization_or_several_changes_nothing(  # noqa: PLR0917 - fixtures
    admin: psycopg.Connection, worker: Worker, victim: PlannedRun, attacker: UUID, name: str, header: Any
) -> None:
    arguments = arguments_of(admin, victim)[name]
    before = rows_of(admin, victim.organization_id), rows_of(admin, attacker)
    value = _filled(header, victim=victim.organization_id, attacker=attacker)
    headers = {} if header is None else {"organization_id": value}
    forged = [forge(admin, name, arguments, headers), forge(admin, name, arguments, headers, victim.task_id)]
    assert (rows_of(admin, victim.organization_id), rows_of(admin, attacker)) == before
    assert admin.execute("SELECT count(*) FROM task WHERE id = %s", (forged[0],)).fetchone() == (0,)
    worker.assert_running()


def test_the_worker_goes_on_after_all_that(admin: psycopg.Connection, worker: Worker, attacker: UUID) -> None:
    task_id = forge(admin, tasks.ECHO, {"message": "hello"}, {"organization_id": str(attacker)})
    assert ended_task(admin, task_id) == "SUCCESS"


def _filled(value: Any, **organizations: UUID) -> Any:
    if isinstance(value, list):
        return [_filled(each, **organizations) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, **organizations) for key, each in value.items()}
    return value.format(**organizations) if isinstance(value, str) else value
