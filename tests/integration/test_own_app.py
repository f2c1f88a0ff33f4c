"""A Celery app of somebody else's on our backend and broker: the example of docs/celery.md, as it stands there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from celery import Celery
from celery.exceptions import ImproperlyConfigured

from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from tests.stack.process import ROOT, Process
from tests.waiting import ended_task, until
from workerapp import broker
from workerapp.backend import PostgresBackend

EXAMPLES = ROOT / "docs" / "examples"
BACKEND = "workerapp.backend:PostgresBackend+"


@contextmanager
def own_worker(database: TestDatabase, **environment: str) -> Iterator[Process]:
    arguments = ["-m", "celery", "--workdir", str(EXAMPLES), "-A", "own_app", "worker", "-c", "2", "-l", "INFO"]
    with Process("own worker", arguments, {"DATABASE_URL": database.url} | environment) as worker:
        worker.wait_for(r"ready\.$")
        yield worker


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


def tasks_of(admin: psycopg.Connection, organization_id: UUID) -> dict[str, int]:
    statement = "SELECT name, count(*) FROM task WHERE organization_id = %s AND state = 'SUCCESS' GROUP BY name"
    return dict(admin.execute(statement, (organization_id,)).fetchall())


def test_the_example_runs_and_its_tasks_are_its_organizations(
    database: TestDatabase, admin: psycopg.Connection
) -> None:
    organization_id = add_organization(admin)
    environment = {"ORGANIZATION_ID": str(organization_id)}
    script = [str(EXAMPLES / "own_app.py")]
    with (
        own_worker(database, **environment),
        Process("script", script, {"DATABASE_URL": database.url} | environment) as run,
    ):
        assert run.wait_for(r"^\S+ (\d+)$")[1] == "285"
        added_up = run.wait_for(r"^(\S+) 45$")[1]
    assert tasks_of(admin, organization_id) == {"own_app.square": 10, "own_app.total": 1, "own_app.add_up": 1}
    progress = "SELECT progress->>'message', (progress->>'fraction')::float FROM task WHERE id = %s"
    assert admin.execute(progress, (added_up,)).fetchone() == ("added 9", 1.0)
    assert admin.execute("SELECT count(*) FROM task WHERE name LIKE 'celery.%'").fetchone() == (0,)


def test_task_without_an_organization_runs_and_the_log_says_once_what_to_set(
    database: TestDatabase, admin: psycopg.Connection
) -> None:
    with own_worker(database) as worker:
        app = client(database)
        for _ in range(3):
            app.send_task("own_app.square", [2])
        until(lambda: len(worker.lines(r"own_app.square\[.*succeeded")) == 3)
        until(lambda: admin.execute("SELECT count(*) FROM broker_message").fetchone() == (0,))
        complaints = worker.lines("task_state_without_organization")
        app.close()
    # One for each process that works.
    assert 1 <= len(complaints) <= 2
    assert admin.execute("SELECT count(*) FROM task").fetchone() == (0,)


def test_task_that_names_its_organization_is_told_from_the_moment_it_is_published(
    database: TestDatabase, admin: psycopg.Connection
) -> None:
    organization_id = add_organization(admin)
    app = client(database)
    result = app.send_task("own_app.square", [3], headers={"organization_id": str(organization_id)})
    assert admin.execute("SELECT state FROM task WHERE id = %s", (result.id,)).fetchone() == ("PENDING",)
    with own_worker(database):
        assert ended_task(admin, result.id) == "SUCCESS"
        assert result.get(timeout=5) == 9
    app.close()


def client(database: TestDatabase) -> Celery:
    broker.register()
    return Celery("client", broker=database.url, backend=BACKEND + database.url, set_as_current=False)


def test_address_may_have_any_usual_form() -> None:
    for url in (
        "postgresql://a:secret@h/d",
        "postgresql+psycopg://a:secret@h:1/d?sslmode=require",
        "postgres://a@/d?host=/tmp",
    ):
        backend = Celery("own", backend=BACKEND + url, set_as_current=False).backend
        assert isinstance(backend, PostgresBackend)
        assert "secret" not in backend.as_uri()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"default_organization": "acme"}, "default_organization is 'acme'; it must be the id of an organization"),
        ({"result_serializer": "pickle"}, "stores results as JSON; result_serializer is 'pickle': set it to 'json'"),
    ],
)
def test_wrong_setting_is_told_at_the_first_use(settings: dict[str, str], message: str) -> None:
    app = Celery("own", backend=BACKEND + "postgresql://a@h/d", set_as_current=False)
    app.conf.update(settings)
    with pytest.raises(ImproperlyConfigured, match=message):
        app.backend.get_state(str(uuid4()))


def test_the_example_is_the_one_the_page_tells_of() -> None:
    page = (ROOT / "docs" / "celery.md").read_text()
    assert f"({Path('examples') / 'own_app.py'})" in page
    example = (EXAMPLES / "own_app.py").read_text()
    for line in ("broker.register()", BACKEND, "default_organization", "from workerapp import broker"):
        assert line in page
        assert line in example
    for line in page.partition("from workerapp.progress")[2].partition("```")[0].splitlines():
        assert line.replace("(self,", "(self: ProgressTask,") in example
