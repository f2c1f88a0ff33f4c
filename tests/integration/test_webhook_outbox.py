"""The outbox of webhooks in the database: who is told of what, who may send it, and what becomes of attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import (
    act_for,
    add_organization,
    add_task,
    add_webhook_endpoint,
    connect,
    plan,
    plan_group,
)
from tests.webhooks import deliveries, end_run, pass_time
from workerapp.contract.webhooks import WEBHOOK_TYPES
from workerapp.db.connection import ROLE

DELAYS = [5.0, 300.0, 1800.0]
LEASE = timedelta(seconds=45)


@pytest.fixture
def admin(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.admin_url) as connection:
        yield connection


@pytest.fixture
def organization_id(admin: psycopg.Connection) -> UUID:
    return add_organization(admin)


@dataclass(kw_only=True)
class Sender:
    """One worker's claims."""

    connection: psycopg.Connection
    token: UUID = field(default_factory=uuid4)

    def take(self, limit: int = 100, slow: int = 100) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = (limit, slow, self.token, LEASE, len(DELAYS) + 1)
            return cursor.execute("SELECT * FROM webhook_take(%s, %s, %s, %s, %s)", row).fetchall()

    def record(self, *results: dict[str, Any], disable_after: timedelta = timedelta(days=5)) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = (self.token, Jsonb([{**one, "id": str(one["id"])} for one in results]), DELAYS, 0.1, disable_after, 8)
            return cursor.execute("SELECT * FROM webhook_record(%s, %s, %s, %s, %s, %s)", row).fetchall()


@pytest.fixture
def sender(database: TestDatabase) -> Iterator[Sender]:
    with connect(database.url, ROLE) as connection:
        yield Sender(connection=connection)


@pytest.fixture
def other_sender(database: TestDatabase) -> Iterator[Sender]:
    with connect(database.url, ROLE) as connection:
        yield Sender(connection=connection)


def delivered(delivery: dict[str, Any], duration_ms: float = 10.0) -> dict[str, Any]:
    return {"id": delivery["id"], "outcome": "delivered", "http_status": 204, "duration_ms": duration_ms}


def failed(delivery: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": delivery["id"], "outcome": "failed", "http_status": 500, "error": "500", "duration_ms": 10.0} | fields


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = rows
    return row


def endpoint(admin: psycopg.Connection, endpoint_id: UUID) -> dict[str, Any]:
    with admin.cursor(row_factory=dict_row) as cursor:
        return only(cursor.execute("SELECT * FROM webhook_endpoint WHERE id = %s", (endpoint_id,)).fetchall())


# ---------------------------------------------------------------- who is told of what
def test_a_run_that_ends_is_told_to_whoever_asked_in_the_transaction_that_settles_it(
    admin: psycopg.Connection, organization_id: UUID
) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    run = plan(admin, organization_id, 0)
    with admin.transaction(force_rollback=True):
        admin.execute("SELECT settle_run(%s)", (run.id,))
        assert len(deliveries(admin)) == 1
    assert deliveries(admin) == []
    admin.execute("SELECT settle_run(%s)", (run.id,))
    delivery = only(deliveries(admin))
    assert (delivery["webhook_endpoint_id"], delivery["status"], delivery["subject_id"]) == (
        *(endpoint_id, "pending"),
        str(run.id),
    )
    payload, data = delivery["payload"], delivery["payload"]["data"]
    assert payload.keys() == {"type", "timestamp", "data"}
    assert payload["type"] == delivery["event_type"] == "test_run.failed"
    assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
    assert (data["test_run_id"], data["status"], data["organization_id"]) == (
        *(str(run.id), "failed"),
        str(organization_id),
    )
    seq = admin.execute("SELECT seq FROM test_run WHERE id = %s", (run.id,)).fetchone()
    assert (data["seq"],) == seq
    assert data["links"]["self"] == f"/v1/test-runs/{run.id}"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["test_run.failed"], 1),
        (["test_run.*"], 1),
        (["*"], 1),
        (["test_run.completed", "run_group.*", "task.*"], 0),
        ([], 0),
    ],
)
def test_an_endpoint_is_told_of_the_types_it_asks_for(
    admin: psycopg.Connection, organization_id: UUID, asked: list[str], told: int
) -> None:
    add_webhook_endpoint(admin, organization_id, event_types=asked)
    end_run(admin, organization_id)
    assert len(deliveries(admin)) == told


def test_nobody_is_told_of_another_organizations_run(admin: psycopg.Connection, organization_id: UUID) -> None:
    add_webhook_endpoint(admin, add_organization(admin), event_types=["*"])
    end_run(admin, organization_id)
    assert deliveries(admin) == []


def test_tasks_are_told_to_who_asks_but_not_those_that_work_for_a_run(
    admin: psycopg.Connection, organization_id: UUID
) -> None:
    add_webhook_endpoint(admin, organization_id, event_types=["task.*"])
    alone = add_task(admin, organization_id)
    group = plan_group(admin, organization_id, runs=2, tests=0)
    for task_id in (alone, group.task_id, *(run.task_id for run in group.runs)):
        admin.execute("UPDATE task SET state = 'SUCCESS', finished_at = now() WHERE id = %s", (task_id,))
    delivery = only(deliveries(admin))
    assert (delivery["subject_id"], delivery["event_type"]) == (alone, "task.succeeded")
    assert delivery["payload"]["data"]["links"] == {"self": f"/v1/tasks/{alone}"}


def test_a_task_whose_id_fits_into_no_path_is_told_without_a_link(
    admin: psycopg.Connection, organization_id: UUID
) -> None:
    add_webhook_endpoint(admin, organization_id, event_types=["task.revoked"])
    add_task(admin, organization_id, id="nightly/../report?")
    admin.execute("UPDATE task SET state = 'REVOKED', finished_at = now()")
    assert only(deliveries(admin))["payload"]["data"]["links"] == {}


def test_the_callback_of_a_run_is_told_of_this_run_alone(admin: psycopg.Connection, organization_id: UUID) -> None:
    origin = "https://ci.example.com"
    callback = add_webhook_endpoint(admin, organization_id, kind="callback", url=origin, event_types=[])
    end_run(admin, organization_id)
    run_id = end_run(admin, organization_id, callback_endpoint_id=callback, callback_url=f"{origin}/done?run=7")
    delivery = only(deliveries(admin))
    assert (delivery["subject_id"], delivery["callback_url"]) == (str(run_id), f"{origin}/done?run=7")


def test_the_callback_of_a_group_is_told_when_all_of_its_runs_have_ended(
    admin: psycopg.Connection, organization_id: UUID
) -> None:
    callback = add_webhook_endpoint(admin, organization_id, kind="callback", event_types=[])
    group = plan_group(admin, organization_id, runs=2, tests=0)
    admin.execute(
        "UPDATE run_group SET callback_endpoint_id = %s, callback_url = 'http://x/' WHERE id = %s", (callback, group.id)
    )
    for run in group.runs:
        admin.execute("SELECT settle_run(%s)", (run.id,))
    assert deliveries(admin) == []
    admin.execute("SELECT settle_group(%s)", (group.id,))
    delivery = only(deliveries(admin))
    assert (delivery["event_type"], delivery["subject_id"]) == ("run_group.failed", str(group.id))


def test_the_trigger_knows_the_same_types_as_the_contract(admin: psycopg.Connection, organization_id: UUID) -> None:
    add_webhook_endpoint(admin, organization_id, event_types=["*"])
    for number, kind in enumerate([*WEBHOOK_TYPES, "task.started", "test_run.progress", "test_result.finished"]):
        admin.execute(
            "INSERT INTO task_event (organization_id, subject_id, seq, type, data) VALUES (%s, %s, %s, %s, '{}')",
            (organization_id, str(uuid4()), number, kind),
        )
    assert {delivery["event_type"] for delivery in deliveries(admin)} == set(WEBHOOK_TYPES)


def test_the_largest_payload_has_less_than_20_kilobytes(admin: psycopg.Connection, organization_id: UUID) -> None:
    add_webhook_endpoint(admin, organization_id, event_types=["*"])
    task_id = add_task(admin, organization_id, name="é" * 255, worker="é" * 500, queue="q" * 100)
    result, error = Jsonb("é" * 2040), Jsonb({"exc_type": "é" * 300, "exc_message": ["é" * 900]})
    admin.execute(
        "UPDATE task SET state = 'FAILURE', result = %s, error = %s, finished_at = now() WHERE id = %s",
        (result, error, task_id),
    )
    assert 6_000 < len(str(only(deliveries(admin))["payload"]).encode()) < 20_000


# ---------------------------------------------------------------- disabled endpoints
def test_what_a_disabled_endpoint_misses_is_kept_as_skipped(admin: psycopg.Connection, organization_id: UUID) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    disable(admin, endpoint_id)
    end_run(admin, organization_id)
    assert [delivery["status"] for delivery in deliveries(admin)] == ["skipped", "skipped"]


def test_that_an_endpoint_is_disabled_is_an_event_and_told_to_the_others(
    admin: psycopg.Connection, organization_id: UUID
) -> None:
    one, other = (add_webhook_endpoint(admin, organization_id, event_types=["webhook_endpoint.*"]) for _ in range(2))
    disable(admin, one)
    delivery = only(deliveries(admin))
    assert (delivery["webhook_endpoint_id"], delivery["event_type"]) == (other, "webhook_endpoint.disabled")
    assert delivery["payload"]["data"]["reason"] == "request"
    event = admin.execute("SELECT seq, data FROM task_event WHERE subject_id = %s", (str(one),)).fetchall()
    assert [(seq, data["webhook_endpoint_id"]) for seq, data in event] == [(1, str(one))]


def test_a_delivery_held_while_its_endpoint_is_disabled_is_skipped_when_it_fails(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    delivery = only(sender.take())
    disable(admin, endpoint_id)
    assert only(sender.record(failed(delivery)))["status"] == "skipped"


def test_the_sweeper_skips_what_was_left_waiting_for_a_disabled_endpoint(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    delivery = only(sender.take())
    disable(admin, endpoint_id)
    sender.connection.execute("SELECT webhook_release(%s, %s)", (sender.token, [delivery["id"]]))
    assert sender.take() == []
    assert sender.connection.execute("SELECT webhook_sweep(10)").fetchone() == (1,)
    assert only(deliveries(admin))["status"] == "skipped"


def disable(admin: psycopg.Connection, endpoint_id: UUID) -> None:
    admin.execute(
        "UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = 'request' WHERE id = %s", (endpoint_id,)
    )


# ---------------------------------------------------------------- claims
def test_a_delivery_is_claimed_by_one_sender_at_a_time(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender, other_sender: Sender
) -> None:
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    delivery = only(sender.take())
    assert delivery["attempt"] == 1
    assert other_sender.take() == sender.take() == []


def test_a_claim_that_ran_out_counts_as_an_attempt_and_is_logged(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender, other_sender: Sender
) -> None:
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    first = only(sender.take())
    pass_time(admin, LEASE + timedelta(seconds=1))
    second = only(other_sender.take())
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    assert sender.record(delivered(first)) == []
    assert only(other_sender.record(delivered(second)))["status"] == "delivered"
    log = admin.execute("SELECT number, http_status, error FROM webhook_attempt ORDER BY number").fetchall()
    assert log == [(1, None, "interrupted"), (2, 204, None)]


def test_a_delivery_whose_senders_always_die_is_exhausted_by_its_schedule(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    for number in range(1, len(DELAYS) + 2):
        assert only(sender.take())["attempt"] == number
        pass_time(admin, LEASE + timedelta(seconds=1))
    assert sender.take() == []
    assert only(deliveries(admin))["status"] == "exhausted"


def test_an_attempt_given_back_does_not_count(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender, other_sender: Sender
) -> None:
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    first = only(sender.take())
    sender.connection.execute("SELECT webhook_release(%s, %s)", (sender.token, [first["id"]]))
    assert only(other_sender.take())["attempt"] == 1


def test_neither_claiming_nor_recording_reads_the_whole_table_even_when_it_was_empty_before(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    admin.execute("VACUUM ANALYZE webhook_delivery")
    assert sender.take() == []
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    with sender.connection.transaction():
        sender.record(delivered(only(sender.take())))
        look = "SELECT seq_scan, idx_scan > 0 FROM pg_stat_xact_user_tables WHERE relname = 'webhook_delivery'"
        assert sender.connection.execute(look).fetchone() == (0, True)


# ---------------------------------------------------------------- places
def test_an_endpoint_has_one_attempt_under_way_until_it_answers_and_then_twice_as_many_with_each_answer(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender, other_sender: Sender
) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    for _ in range(20):
        end_run(admin, organization_id)
    first = sender.take()
    assert len(first) == 1
    sender.record(delivered(first[0]))
    second = sender.take()
    assert len(second) == 2
    assert other_sender.take() == []
    sender.record(*map(delivered, second))
    third = sender.take()
    assert len(third) == 4
    sender.record(*map(delivered, third))
    fourth = sender.take()
    assert len(fourth) == 8
    sender.record(*map(delivered, fourth))
    assert endpoint(admin, endpoint_id)["places"] == 8


@pytest.mark.parametrize("end", [failed, lambda delivery: delivered(delivery, duration_ms=1500)])
def test_who_fails_or_is_slow_gets_one_at_a_time_and_only_so_many_such_are_asked(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender, end: Any
) -> None:
    for _ in range(3):
        add_webhook_endpoint(admin, organization_id, places=8, quick=True)
    for _ in range(2):
        end_run(admin, organization_id)
    taken = sender.take()
    assert len(taken) == 6
    sender.record(*map(end, taken))
    for _ in range(2):
        end_run(admin, organization_id)
    again = sender.take(slow=2)
    assert len(again) == 2
    assert len({delivery["webhook_endpoint_id"] for delivery in again}) == 2
    assert all(delivery["slow"] for delivery in again)


def test_endpoints_take_turns_however_much_waits_for_one(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    busy = add_webhook_endpoint(admin, organization_id, places=8, quick=True, event_types=["test_run.failed"])
    for _ in range(10):
        end_run(admin, organization_id)
    idle = add_webhook_endpoint(admin, organization_id, places=8, quick=True)
    end_run(admin, organization_id)
    taken = [delivery["webhook_endpoint_id"] for delivery in sender.take(limit=3)]
    assert sorted(taken) == sorted([busy, busy, idle])


def test_an_endpoint_gets_no_more_than_its_rate(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    often = add_webhook_endpoint(admin, organization_id, places=8, quick=True, rate_per_second=20)
    rarely = add_webhook_endpoint(admin, organization_id, places=8, quick=True, rate_per_second=0.1)
    for _ in range(6):
        end_run(admin, organization_id)
    taken = [delivery["webhook_endpoint_id"] for delivery in sender.take()]
    assert sorted(taken) == sorted([often, often, rarely])
    admin.execute("DELETE FROM webhook_delivery WHERE webhook_endpoint_id = %s AND leased_by IS NULL", (often,))
    assert sender.take() == []
    pass_time(admin, timedelta(seconds=10))
    assert [delivery["webhook_endpoint_id"] for delivery in sender.take()] == [rarely]


def test_retry_after_holds_back_everything_for_the_endpoint(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    add_webhook_endpoint(admin, organization_id)
    for _ in range(2):
        end_run(admin, organization_id)
    first = only(sender.take())
    again = only(sender.record(failed(first, http_status=429, retry_after=600)))
    assert again["status"] == "pending"
    assert sender.take() == []
    pass_time(admin, timedelta(seconds=590))
    assert sender.take() == []
    pass_time(admin, timedelta(seconds=20))
    assert len(sender.take()) == 1


# ---------------------------------------------------------------- schedule and disabling
def test_attempts_follow_the_schedule_until_it_is_exhausted(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    ids = set()
    for delay in DELAYS:
        delivery = only(sender.take())
        ids.add(delivery["id"])
        again = only(sender.record(failed(delivery)))
        waits = again["next_attempt_at"] - _now(admin)
        assert timedelta(seconds=delay * 0.9 - 5) < waits <= timedelta(seconds=delay * 1.1)
        pass_time(admin, timedelta(seconds=delay * 0.89 - 5))
        assert sender.take() == []
        pass_time(admin, timedelta(seconds=delay * 0.22 + 5))
    last = only(sender.record(failed(only(sender.take()))))
    assert (last["status"], last["next_attempt_at"], len(ids)) == ("exhausted", None, 1)
    assert admin.execute("SELECT count(*) FROM webhook_attempt").fetchone() == (len(DELAYS) + 1,)


def test_days_of_failure_disable_a_subscription_and_a_success_between_begins_them_anew(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    for outcome in (failed, delivered, failed):
        end_run(admin, organization_id)
        sender.record(outcome(sender.take()[-1]))
        pass_time(admin, timedelta(days=3))
    assert endpoint(admin, endpoint_id)["disabled_at"] is None
    pass_time(admin, timedelta(days=3))
    ended = sender.record(*map(failed, sender.take()))
    assert all(delivery["endpoint_disabled"] for delivery in ended)
    assert endpoint(admin, endpoint_id)["disabled_reason"] == "failing"
    assert {delivery["status"] for delivery in deliveries(admin)} == {"delivered", "skipped"}
    admin.execute("UPDATE webhook_endpoint SET disabled_at = NULL, disabled_reason = NULL")
    assert endpoint(admin, endpoint_id)["failing_since"] is None


def test_gone_disables_a_subscription_at_once_and_ends_the_delivery_of_a_callback(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    subscription = add_webhook_endpoint(admin, organization_id)
    callback = add_webhook_endpoint(admin, organization_id, kind="callback", event_types=[])
    end_run(admin, organization_id, callback_endpoint_id=callback, callback_url="http://x/")
    taken = sender.take()
    assert len(taken) == 2
    sender.record(*(failed(delivery, outcome="gone", http_status=410) for delivery in taken))
    assert {delivery["status"] for delivery in deliveries(admin)} == {"exhausted"}
    assert endpoint(admin, subscription)["disabled_reason"] == "gone"
    assert endpoint(admin, callback)["disabled_at"] is None


def test_a_trial_is_attempted_once_and_tells_nothing_of_its_endpoint(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    endpoint_id = add_webhook_endpoint(admin, organization_id)
    act_for(admin, organization_id)
    admin.execute(
        "INSERT INTO webhook_delivery (organization_id, webhook_endpoint_id, event_type, subject_id, payload)"
        " VALUES (%s, %s, 'webhook_endpoint.test', %s, '{}')",
        (organization_id, endpoint_id, str(endpoint_id)),
    )
    assert only(sender.record(failed(only(sender.take()))))["status"] == "exhausted"
    assert endpoint(admin, endpoint_id)["failing_since"] is None


def test_what_waits_is_told_with_since_when_it_is_due(
    admin: psycopg.Connection, organization_id: UUID, sender: Sender
) -> None:
    backlog = "SELECT pending, now() - due_since > interval '9 seconds' FROM webhook_backlog()"
    assert sender.connection.execute(backlog).fetchone() == (0, None)
    add_webhook_endpoint(admin, organization_id)
    end_run(admin, organization_id)
    pass_time(admin, timedelta(seconds=10))
    assert sender.connection.execute(backlog).fetchone() == (1, True)


def _now(admin: psycopg.Connection) -> datetime:
    row = admin.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now
