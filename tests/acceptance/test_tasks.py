"""Registered tasks over REST: submit, watch, read; as the callers of the origin did it, and better."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.contract import Contract
from tests.stack.client import Client
from tests.stack.services import Worker


def kinds(client: Client, task_id: str) -> list[str]:
    return [event.type for event in client.events(f"/v1/tasks/{task_id}/events", cursor="0")]


def test_echo_answers_with_the_message_and_for_whom_it_worked(client: Client, worker: Worker):
    task = client.ended(client.submit("echo", "hello"))
    assert task["status"] == "SUCCESS"
    assert task["result"] == f"Message: hello, Organization: {client.organization_id}, User: unknown"
    assert task["error"] is None
    assert task["worker"] == worker.name


def test_counting_test_sets_sees_the_callers_organization_only(make_client: Callable[[], Client], worker: Worker):
    mine, others = make_client(), make_client()
    for name in ("one", "two"):
        mine.post("/v1/test-sets", {"name": name, "tests": [{"input": "?"}]})
    counts = {client: client.ended(client.submit("count_test_sets"))["result"] for client in (mine, others)}
    assert counts == {
        mine: {"count": 2, "organization_id": mine.organization_id, "user_id": None},
        others: {"count": 0, "organization_id": others.organization_id, "user_id": None},
    }


def test_a_configuration_is_found_by_its_own_organization_only(make_client: Callable[[], Client], worker: Worker):
    mine, others = make_client(), make_client()
    configuration = mine.configure(endpoint={"url": "http://127.0.0.1:9/"}, tests=[{"input": "?"}])
    name = "get_test_configuration"
    assert mine.ended(mine.submit(name, configuration))["result"] == {"found": True, "id": configuration}
    assert others.ended(others.submit(name, configuration))["result"] == {"found": False, "id": None}
    assert mine.ended(mine.submit(name, str(uuid4())))["result"] == {"found": False, "id": None}


def test_a_session_opened_by_hand_carries_the_tenant_too(client: Client, worker: Worker):
    client.post("/v1/test-sets", {"name": "one", "tests": [{"input": "?"}]})
    assert client.ended(client.submit("manual_db_example"))["result"] == {"test_set_count": 1}


def test_a_task_that_cannot_succeed_fails_at_once_and_says_why(client: Client, worker: Worker):
    task = client.ended(client.submit("get_test_configuration", "not-an-id"))
    assert (task["status"], task["retries"], task["result"]) == ("FAILURE", 0, None)
    assert task["error"] == "'not-an-id' is not the id of a test configuration: expected a UUID"
    assert task["error_type"] == "PermanentError"
    assert kinds(client, task["task_id"]) == ["task.pending", "task.started", "task.failed"]


def test_a_call_with_the_wrong_arguments_is_refused_before_it_is_a_task(client: Client, worker: Worker):
    refused = client.http.post("/v1/tasks", json={"name": "echo", "args": ["one", "too many"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "arguments_invalid")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/args/1"]
    assert client.get("/v1/tasks")["items"] == []


def test_a_task_that_its_worker_cannot_call_fails_at_once(client: Client, worker: Worker):
    task = client.ended(client.submit("tests.misfit", kind="unheard of"))
    assert (task["status"], task["error_type"], task["retries"]) == ("FAILURE", "TypeError", 0)


def test_every_try_is_told_in_order(client: Client, worker: Worker):
    task = client.ended(client.submit("tests.fail_then_succeed", 2))
    assert (task["status"], task["result"], task["retries"]) == ("SUCCESS", 2, 2)
    again = ["task.started", "task.retry"]
    assert kinds(client, task["task_id"]) == ["task.pending", *again, *again, "task.started", "task.succeeded"]


def test_a_task_is_watched_from_its_submission_to_its_end(client: Client, worker: Worker):
    task_id = client.submit("tests.hold", 0.2)
    snapshot, *live = client.events(f"/v1/tasks/{task_id}/events")
    assert snapshot.type == "snapshot"
    assert snapshot.body["data"]["status"] in {"PENDING", "STARTED"}
    assert [event.seq for event in live] == list(range(snapshot.seq + 1, 4))
    assert live[-1].type == "task.succeeded"
    assert live[-1].body["data"]["result"] == "held"


def test_how_far_a_task_is_can_be_watched_and_read(client: Client, worker: Worker):
    task_id = client.submit("count_slowly", 3, pause=0.01)
    events = list(client.events(f"/v1/tasks/{task_id}/events", cursor="0"))
    told = [event.body["data"] for event in events if event.type == "task.progress"]
    assert {data["status"] for data in told} == {"STARTED"}
    assert [told[0]["progress"]["done"], told[-1]["progress"]["done"]] == [0, 3]
    assert "eta_seconds" not in told[0]["progress"]
    assert told[-1]["progress"]["eta_seconds"] == 0
    assert client.task(task_id)["progress"] == events[-1].body["data"]["progress"] == told[-1]["progress"]
    for data in told:
        assert Contract().errors({"$ref": "#/components/schemas/Progress"}, data["progress"]) == []


def test_counting_slowly_has_its_limits(client: Client, worker: Worker):
    task = client.ended(client.submit("count_slowly", 100))
    assert (task["status"], task["retries"]) == ("FAILURE", 0)
    assert task["error"].startswith(
        "cannot count to 100 with pauses of 1 seconds: it may count to 1000 and pause for 60"
    )


def test_a_stream_is_resumed_behind_its_cursor_and_over_at_the_end(client: Client, worker: Worker):
    task_id = client.submit("tests.hold", 0)
    events = list(client.events(f"/v1/tasks/{task_id}/events", cursor="0"))
    assert [event.type for event in events] == ["task.pending", "task.started", "task.succeeded"]
    resumed = list(client.events(f"/v1/tasks/{task_id}/events", cursor=events[0].cursor))
    assert resumed == events[1:]
    assert list(client.events(f"/v1/tasks/{task_id}/events", cursor=events[-1].cursor)) == []


@pytest.mark.parametrize("size", [1, 10])
def test_a_task_that_becomes_a_chord_is_one_task_to_its_caller(client: Client, worker: Worker, size: int):
    task = client.ended(client.submit("tests.become_chord", size))
    assert task["result"] == {"parts": [2 * number for number in range(size)]}


def test_the_same_idempotency_key_submits_once(client: Client, worker: Worker):
    answers = [
        client.http.post("/v1/tasks", json={"name": "echo", "args": ["x"]}, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    first, second = (answer.json() for answer in answers)
    # A token is not stored: each answer has one of its own, from its own second on.
    assert first | {"stream_token": ""} == second | {"stream_token": ""}
    client.ended(first["task_id"])
    assert len(client.get("/v1/tasks")["items"]) == 1
