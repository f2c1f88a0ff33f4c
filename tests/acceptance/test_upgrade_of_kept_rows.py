"""What the previous release had begun when it was killed, is ended by this one: its own rows, migrated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from gateway.auth.keyring import create_key, open_keyring
from gateway.auth.keys import TENANT_SCOPES
from tests.postgres import PostgresServer, TestDatabase, empty_database
from tests.records import connect
from tests.stack.application import application
from tests.stack.client import Client
from tests.stack.services import Gateway, Worker
from tests.upgrades.catalog import demands, offers, tables
from tests.upgrades.contraction import contractions
from tests.upgrades.log_checks import problems
from tests.upgrades.recording import ENVIRONMENT
from tests.upgrades.release import previous_release
from tests.upgrades.restoring import restore
from tests.waiting import until
from tests.webhooks import Receiver, receiving_apart
from workerapp.db.address import DatabaseAddress
from workerapp.db.migrations.migrate import upgrade

RELEASE = previous_release()
RECORDED = RELEASE.recording


@dataclass(frozen=True, kw_only=True)
class Upgraded:
    """This version at work on the rows of the previous one."""

    client: Client
    admin: psycopg.Connection
    receiver: Receiver
    #: What the schema has lost by the migration, and demands since then.
    lost: set[str]
    demanded: set[str]


@pytest.fixture(scope="module")
def upgraded(postgres: PostgresServer, template_database: str) -> Iterator[Upgraded]:
    with (
        empty_database(postgres, template_database) as database,
        application() as app,
        receiving_apart() as receiver,
        connect(database.admin_url) as admin,
    ):
        app.gate.set()
        restore(database.admin_url, RELEASE, application=app.url, receiver=receiver.url)
        offered, had = offers(admin), tables(admin)
        demanded = demands(admin, had)
        upgrade(database.admin_url)
        lost, demanded = offered - offers(admin), demands(admin, had) - demanded
        gateway, worker = Gateway(database, environment=ENVIRONMENT), Worker(database, environment=ENVIRONMENT)
        with gateway, worker, client_of(database, gateway) as client:
            yield Upgraded(client=client, admin=admin, receiver=receiver, lost=lost, demanded=demanded)


def client_of(database: TestDatabase, gateway: Gateway) -> Client:
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as connection:
        key = create_key(connection, RECORDED["organization_id"], "upgraded", TENANT_SCOPES)
    return Client(gateway.url, key.secret, RECORDED["organization_id"])


def test_the_schema_offers_all_that_the_previous_release_uses_and_demands_nothing_more(upgraded: Upgraded) -> None:
    unused = {name for one in contractions(RELEASE.revision) for name in one.unused}
    assert {one for one in upgraded.lost if not unused.intersection(re.findall(r"\w+", one))} == set()
    assert upgraded.demanded == set()


@pytest.mark.parametrize("name", ["run", "waiting_run"])
def test_a_run_that_was_under_way_or_waited_ends_with_all_of_its_tests(upgraded: Upgraded, name: str) -> None:
    run = upgraded.client.settled(RECORDED[name])
    assert (run["status"], run["total"], run["passed"]) == ("completed", 12, 12)
    assert upgraded.client.ended(run["task_id"])["status"] == "SUCCESS"


def test_a_group_that_waited_ends(upgraded: Upgraded) -> None:
    assert upgraded.client.settled_group(RECORDED["group"])["status"] == "completed"


def test_tasks_that_waited_in_the_queue_are_executed(upgraded: Upgraded) -> None:
    ended = [upgraded.client.ended(task_id, 60) for task_id in RECORDED["waiting_tasks"]]
    assert [task["status"] for task in ended] == ["SUCCESS"] * 3
    assert [task["result"].partition(",")[0] for task in ended] == [f"Message: {number}" for number in range(3)]


def test_what_had_ended_is_as_it_was(upgraded: Upgraded) -> None:
    task, run = upgraded.client.task(RECORDED["ended_task"]), upgraded.client.run(RECORDED["ended_run"])
    assert (task["status"], run["status"], run["passed"]) == ("SUCCESS", "completed", 2)


def test_a_stream_goes_on_behind_the_cursor_that_the_previous_release_gave(upgraded: Upgraded) -> None:
    upgraded.client.settled(RECORDED["run"])
    seen = RECORDED["run_seq"]
    events = list(upgraded.client.events(f"/v1/test-runs/{RECORDED['run']}/events", cursor=str(seen)))
    assert [event.seq for event in events] == list(range(seen + 1, seen + 1 + len(events)))
    assert events[-1].type == "test_run.completed"


def test_webhooks_that_waited_are_sent(upgraded: Upgraded) -> None:
    def told() -> bool:
        payloads = [request.payload for request in upgraded.receiver.at("/runs")]
        ended = {one["data"]["test_run_id"] for one in payloads if one["type"] == "test_run.completed"}
        return {RECORDED["ended_run"], RECORDED["run"], RECORDED["waiting_run"]} <= ended

    until(told, 60)


def test_the_rows_are_whole_in_the_end(upgraded: Upgraded) -> None:
    for name in ("run", "waiting_run"):
        upgraded.client.settled(RECORDED[name])
    upgraded.client.settled_group(RECORDED["group"])
    for task_id in RECORDED["waiting_tasks"]:
        upgraded.client.ended(task_id, 60)
    until(lambda: not problems(upgraded.admin), 60, pause=0.1)
