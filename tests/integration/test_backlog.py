"""What waits in the database, as workers tell it: by queue and state, and what is open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import act_for, add_organization, add_task, connect, plan
from workerapp.backlog import LONGEST_PAUSE, PAUSE, OpenWork, Queue, pause_after, read_open_work, read_queues
from workerapp.db.connection import ROLE


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@pytest.fixture
def worker(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.url, role=ROLE) as connection:
        yield connection


def add_message(admin: psycopg.Connection, organization_id: UUID, queue: str, visible: str, **columns: object) -> None:
    """`visible` is from when on, as seen from now."""
    row = {"leased_by": None, "published_at": None} | columns
    admin.execute(
        "INSERT INTO broker_message (queue, organization_id, rank, visible_at, leased_by, published_at, message)"
        " VALUES (%s, %s, 5, now() + %s::interval, %s, %s, %s)",
        (queue, organization_id, visible, row["leased_by"], row["published_at"], Jsonb({})),
    )


def test_messages_are_counted_by_queue_and_state(
    admin: psycopg.Connection, worker: psycopg.Connection, organization_id: UUID
) -> None:
    other = add_organization(admin)
    add_message(admin, organization_id, "one", "-1 minute")
    add_message(admin, other, "one", "-2 minutes")
    add_message(admin, organization_id, "one", "1 hour")
    add_message(admin, organization_id, "one", "30 seconds", leased_by=uuid4())
    add_message(admin, organization_id, "one", "-3 minutes", leased_by=uuid4())  # its worker is dead
    add_message(admin, organization_id, "two", "60 seconds", leased_by=uuid4(), published_at=datetime.now(UTC))
    admin.execute(
        "INSERT INTO broker_binding (exchange, exchange_type, routing_key, queue, alive_at)"
        " VALUES ('pidbox', 'fanout', '', 'of one node', now())"
    )
    add_message(admin, organization_id, "of one node", "0")
    one, two = sorted(read_queues(worker), key=lambda queue: queue.queue)
    since = one.ready_since
    assert one == Queue(queue="one", ready=3, delayed=1, leased=1, published=0, ready_since=since)
    assert two == Queue(queue="two", ready=0, delayed=0, leased=0, published=1, ready_since=None)
    assert since is not None
    assert datetime.now(UTC) - since >= timedelta(minutes=3)


def test_what_is_open_is_counted_over_all_organizations(
    admin: psycopg.Connection, worker: psycopg.Connection, organization_id: UUID
) -> None:
    assert read_open_work(worker) == OpenWork(tasks=0, runs=0, tests=0, overdue_since=None, workers=0, swept_at=None)
    run = plan(admin, organization_id, tests=3)
    other = add_organization(admin)
    act_for(admin, other)
    add_task(admin, other)
    worker.execute("SELECT worker_report('here', 1, now(), 'prefork', 2, '{celery}', '[]')")
    worker.execute("SELECT record_sweep('settle_runs', 'here', 0, 0.1, NULL)")
    act_for(admin, organization_id)
    admin.execute("UPDATE test_run SET deadline_at = now() - interval '1 minute' WHERE id = %s", (run.id,))
    found = read_open_work(worker)
    assert (found.tasks, found.runs, found.tests, found.workers) == (2, 1, 3, 1)
    assert found.overdue_since is not None
    assert found.swept_at is not None


@pytest.mark.parametrize(("seconds", "pause"), [(0.001, PAUSE), (0.5, 25.0), (3600, LONGEST_PAUSE)])
def test_a_look_that_takes_long_is_not_followed_so_soon_by_another(seconds: float, pause: float) -> None:
    times = iter((0.0, seconds))
    assert pause_after(lambda: None, lambda: next(times)) == pause
