"""The outbox: messages are stored with their work, passed on in turns, and begun once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from kombu.connection import Connection as BrokerConnection
from kombu.exceptions import ChannelError
from prometheus_client import generate_latest

from tests.exposition import read
from tests.postgres import TestDatabase as Database
from tests.records import add_organization, add_task, connect, plan
from workerapp.app import WorkerApp, make_app
from workerapp.db.connection import ROLE
from workerapp.execution.plan import revive_run
from workerapp.outbox import OUTBOX_HEADER
from workerapp.relay import Batches
from workerapp.settings import load_worker_settings

QUEUE = "celery"
LEASE = timedelta(seconds=10)


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@pytest.fixture
def app(database: Database) -> Iterator[WorkerApp]:
    """An app whose broker nobody needs to reach: what it sends is stored."""
    settings = load_worker_settings(
        database_url=database.url, broker_url="amqp://127.0.0.1:9//", broker_ahead=4, _env_file=None
    )
    built = make_app(settings)
    yield built
    built.close()
    built.database.engine.dispose()


@pytest.fixture
def relay(database: Database, app: WorkerApp) -> Iterator[Batches]:
    """Passes on to a broker in this process's memory."""
    with connect(database.url, ROLE) as connection, BrokerConnection("memory://") as broker:
        channel = broker.channel()
        yield Batches(app, connection, channel)
        channel.queue_purge(QUEUE)


def send(app: WorkerApp, organization_id: UUID, **options: Any) -> str:
    headers = {"organization_id": str(organization_id)}
    return str(app.send_task("echo", args=("x",), headers=headers, queue=QUEUE, **options).id)


def stored(admin: psycopg.Connection) -> list[tuple[str, bool]]:
    """The tasks whose messages are stored, and whether the broker has them."""
    rows = admin.execute("SELECT task_id, published_at IS NOT NULL FROM broker_message ORDER BY id").fetchall()
    return [(row[0], row[1]) for row in rows]


def state(admin: psycopg.Connection, task_id: str) -> str | None:
    row = admin.execute("SELECT state FROM task WHERE id = %s", (task_id,)).fetchone()
    return None if row is None else str(row[0])


def delivered(relay: Batches) -> list[Any]:
    """What the broker would deliver."""
    found = []
    while (message := relay._channel.basic_get(QUEUE, no_ack=True)) is not None:
        found.append(relay._channel.message_to_python(message) if isinstance(message, dict) else message)
    return found


def end(admin: psycopg.Connection, task_id: str, final: str) -> None:
    admin.execute("UPDATE task SET state = %s, finished_at = now() WHERE id = %s", (final, task_id))


def time_passes(admin: psycopg.Connection) -> None:
    """Long enough for every lease to end and for every message that was not begun to count as lost."""
    admin.execute("UPDATE broker_message SET visible_at = now() - interval '1 second'")


def test_message_sent_outside_a_transaction_is_committed_with_its_task(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    task_id = send(app, organization_id)
    assert stored(admin) == [(task_id, False)]
    assert state(admin, task_id) == "PENDING"


def test_message_sent_in_a_transaction_comes_with_its_commit(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    with app.database.session(organization_id) as db:
        db.connection()
        task_id = send(app, organization_id)
        assert stored(admin) == []
    assert stored(admin) == [(task_id, False)]


def test_message_sent_in_a_transaction_that_fails_never_was(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    with app.database.session(organization_id) as db:
        db.connection()
        task_id = send(app, organization_id)
        db.rollback()
    assert stored(admin) == []
    assert state(admin, task_id) is None


def test_relay_publishes_what_celery_would_have_sent_and_says_so(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id, priority=7)
    assert relay.pass_on() == 1
    assert stored(admin) == [(task_id, True)]
    (message,) = delivered(relay)
    assert message.decode()[:2] == [["x"], {}]
    assert (message.headers["id"], message.headers["task"]) == (task_id, "echo")
    assert message.headers["organization_id"] == str(organization_id)
    assert message.properties["priority"] == 7
    assert relay.pass_on() == 0


def test_worker_begins_a_message_once(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id)
    relay.pass_on()
    (message,) = delivered(relay)
    assert begin(app, message) == "run"
    assert stored(admin) == []
    assert begin(app, message) == "skip"
    # Its worker was lost, says the broker; and then that it was lost after the end.
    assert begin(app, message, redelivered=True) == "run"
    end(admin, task_id, "SUCCESS")
    assert begin(app, message, redelivered=True) == "skip"


def test_message_that_loses_its_worker_again_and_again_is_poison(
    app: WorkerApp, organization_id: UUID, relay: Batches
) -> None:
    send(app, organization_id)
    relay.pass_on()
    (message,) = delivered(relay)
    verdicts = [begin(app, message, redelivered=number > 0) for number in range(app.settings.max_reads + 1)]
    assert verdicts == ["run"] * app.settings.max_reads + ["poison"]


def test_revoked_task_is_not_begun(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id)
    relay.pass_on()
    (message,) = delivered(relay)
    end(admin, task_id, "REVOKED")
    assert begin(app, message) == "skip"
    assert stored(admin) == []


def test_run_that_settled_first_does_not_keep_its_chords_body_from_running(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    """The body has the submitted task's id, and that task ends with the run's last result."""
    task_id = send(app, organization_id)
    relay.pass_on()
    (message,) = delivered(relay)
    end(admin, task_id, "SUCCESS")
    assert begin(app, message) == "run"


def begin(app: WorkerApp, message: Any, *, redelivered: bool = False) -> str:
    assert app.outbox is not None
    return app.outbox.begin(message.headers["id"], message.headers[OUTBOX_HEADER], redelivered=redelivered)


def test_broker_has_only_so_many_at_a_time_and_tenants_take_turns(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    other = add_organization(admin)
    many = [send(app, organization_id) for _ in range(10)]
    few = [send(app, other) for _ in range(2)]
    relay.pass_on()
    assert {task_id for task_id, published in stored(admin) if published} == {*many[:2], *few}
    assert relay.pass_on() == 0
    for message in delivered(relay):
        assert begin(app, message) == "run"
    relay.pass_on()
    assert {task_id for task_id, published in stored(admin) if published} == set(many[2:6])


def test_task_with_an_eta_is_held_back_until_it_is_due(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id, countdown=3600)
    assert relay.pass_on() == 0
    assert stored(admin) == [(task_id, False)]
    time_passes(admin)
    assert relay.pass_on() == 1


def test_message_that_another_relay_took_and_never_published_is_published(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id)
    admin.execute("SELECT * FROM outbox_take(10, 10, %s, %s)", (uuid4(), LEASE))
    assert relay.pass_on() == 0
    time_passes(admin)
    assert relay.pass_on() == 1
    assert stored(admin) == [(task_id, True)]


def test_message_that_the_broker_lost_is_published_again(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id)
    relay.pass_on()
    relay._channel.queue_delete(QUEUE)
    time_passes(admin)
    relay.pass_on()
    assert [message.headers["id"] for message in delivered(relay)] == [task_id]
    told = read(generate_latest(app.metrics.registry).decode())
    assert (told["gateway_relay_messages_total"], told["gateway_relay_messages_again_total"]) == (2, 1)
    assert told["gateway_relay_batch_duration_seconds_count"] == 2


def test_message_that_still_waits_in_the_broker_is_not_published_again(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    send(app, organization_id)
    relay.pass_on()
    time_passes(admin)
    relay.pass_on()
    assert len(delivered(relay)) == 1


def test_message_of_a_task_that_has_ended_is_forgotten(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_id = send(app, organization_id)
    relay.pass_on()
    delivered(relay)
    end(admin, task_id, "FAILURE")
    time_passes(admin)
    assert relay.pass_on() == 0
    assert stored(admin) == []


def test_what_could_not_be_published_stays(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection, relay: Batches
) -> None:
    task_ids = [send(app, organization_id) for _ in range(3)]
    relay._channel.close()
    with pytest.raises(ChannelError):
        relay.pass_on()
    assert stored(admin) == [(task_id, False) for task_id in task_ids]
    assert admin.execute("SELECT count(*) FROM broker_message WHERE leased_by IS NULL").fetchone() == (3,)


def test_lane_of_a_revived_run_does_not_come_back(
    app: WorkerApp, organization_id: UUID, admin: psycopg.Connection
) -> None:
    """A broker may hand out a dead worker's message long after the run was given new lanes."""
    run = plan(admin, organization_id, tests=4)
    with app.database.session(organization_id) as db:
        (first,) = revive_run(db, run.id, lane_concurrency=50, grace=0)
    add_task(admin, organization_id, id=first.task_id, name="run_lane", state="STARTED")
    with app.database.session(organization_id) as db:
        (second,) = revive_run(db, run.id, lane_concurrency=50, grace=0)
    lanes = admin.execute("SELECT number, finished_at IS NOT NULL FROM lane ORDER BY number").fetchall()
    assert lanes == [(first.number, True), (second.number, False)]
    assert state(admin, first.task_id) == "FAILURE"
