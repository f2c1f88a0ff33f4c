"""The previous release's processes go on when the schema is this version's, beside this version's processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance import another_contract
from tests.postgres import PostgresServer, TestDatabase, empty_database
from tests.records import connect
from tests.stack.application import Application, application
from tests.stack.client import Client
from tests.stack.process import ROOT
from tests.stack.services import Gateway, Worker
from tests.upgrades.log_checks import problems
from tests.upgrades.recording import new_client_of
from tests.upgrades.release import code_of, command_of, previous_release
from tests.waiting import until

QUESTIONS = [{"input": f"say {number}", "expected": str(number)} for number in range(6)]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Of the previous release, whose code is in `code`; nothing of this version runs yet."""

    code: Path
    database: TestDatabase
    application: Application
    gateway: Gateway
    worker: Worker
    client: Client

    def configured(self, *tests: dict[str, str]) -> str:
        endpoint = {
            "url": self.application.url,
            "request": {"input": "{{ input }}"},
            "response": {"output": "$.output"},
        }
        return self.client.configure(endpoint=endpoint, tests=tests, metrics=[{"type": "equals"}], concurrency=2)

    def by_new_gateway(self, gateway: Gateway) -> Client:
        return Client(gateway.url, self.client.key, self.client.organization_id)


@pytest.fixture
def previous(postgres: PostgresServer, template_database: str, reachable_folder: Path) -> Iterator[Deployment]:
    code = code_of(previous_release().commit, reachable_folder)
    with empty_database(postgres, template_database) as database, application() as app:
        command_of(code, "migrate", DATABASE_URL=database.admin_url)
        gateway, worker = Gateway(database), Worker(database)
        gateway.code = worker.code = code
        client = new_client_of(code, database.admin_url, gateway.url)
        with another_contract(gateway.url), gateway, worker, client:
            yield Deployment(
                code=code, database=database, application=app, gateway=gateway, worker=worker, client=client
            )


def test_old_processes_go_on_with_the_new_schema_and_new_ones_take_over(previous: Deployment) -> None:
    old, app = previous.client, previous.application
    configuration = previous.configured(*QUESTIONS, {"input": "wait", "expected": "wait"})
    run = old.execute(configuration)
    until(app.is_waiting.is_set)
    cursor = old.get("/v1/events", after="earliest")["cursor"]
    seen = old.run(run)["seq"]

    # Step 3 of the upgrade, while a test of the run is under way.
    command_of(ROOT, "migrate", DATABASE_URL=previous.database.admin_url)
    app.gate.set()
    assert counts(old.settled(run)) == ("completed", 7, 7)
    assert old.ended(old.submit("echo", "old to old"))["status"] == "SUCCESS"

    with Gateway(previous.database) as gateway, previous.by_new_gateway(gateway) as new:
        assert new.ended(new.submit("echo", "new to old"))["status"] == "SUCCESS"
        assert counts(new.settled(new.execute(configuration))) == ("completed", 7, 7)
        page = new.get("/v1/events", after=cursor, limit=200)
        assert next(event["seq"] for event in page["items"] if event["subject"] == run) <= seen + 1
        told = [event.seq for event in new.events(f"/v1/test-runs/{run}/events", cursor=str(seen))]
        assert told == list(range(seen + 1, seen + 1 + len(told)))

        # Step 4: the worker first, with a run that it has begun.
        app.gate.clear()
        app.is_waiting.clear()
        handed_over = old.execute(configuration)
        until(app.is_waiting.is_set)
        with Worker(previous.database):
            app.gate.set()
            previous.worker.end(30)
            assert counts(new.settled(handed_over)) == ("completed", 7, 7)
            assert old.ended(old.submit("echo", "old to new"))["status"] == "SUCCESS"
            assert counts(old.settled(old.execute(configuration))) == ("completed", 7, 7)
            previous.gateway.end(30)
            assert new.ended(new.submit("echo", "new to new"))["status"] == "SUCCESS"
            with connect(previous.database.admin_url) as admin:
                until(lambda: not problems(admin), 30, pause=0.1)


def counts(run: dict[str, object]) -> tuple[object, object, object]:
    return run["status"], run["total"], run["passed"]
