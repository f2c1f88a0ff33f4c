"""Tests of several turns, end to end over REST: made, moved as files, executed, judged again, and reported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract import Contract
from tests.stack.application import Application, application
from tests.stack.client import Client
from tests.stack.services import Worker

EQUALS = {"type": "equals"}
TESTS: list[dict[str, Any]] = [
    {"input": "say 4", "expected": "4"},
    {"turns": [{"input": "say a"}, {"input": "say b"}, {"input": "recall"}], "expected": "say a; say b"},
    {
        "turns": [
            {"input": "say 1", "expected": "2", "assertions": [EQUALS]},
            {"input": [{"role": "user", "content": "say 3"}], "expected": "3"},
        ]
    },
    {"turns": [{"input": "say x"}, {"input": "fail"}, {"input": "say never"}], "expected": "never"},
]


@pytest.fixture
def app() -> Iterator[Application]:
    with application() as running:
        yield running


def configure(client: Client, app: Application, tests: list[dict[str, Any]]) -> tuple[str, str]:
    """The paths of a test set and of a configuration of it."""
    endpoint = client.post(
        "/v1/endpoints",
        {
            "name": "app",
            "url": app.url,
            "request": {"input": "{{ input }}", "conversation": "{{ conversation_id }}"},
            "response": {"output": "$.output", "conversation_id": "$.conversation"},
        },
    )
    test_set = client.post("/v1/test-sets", {"name": "conversations", "tests": tests})
    configuration = {"name": "c", "endpoint_id": endpoint["id"], "test_set_id": test_set["id"], "metrics": [EQUALS]}
    return test_set["links"]["self"], client.post("/v1/test-configurations", configuration)["id"]


def test_a_run_has_tests_of_one_turn_and_of_several(client: Client, worker: Worker, app: Application):
    run_id = client.execute(configure(client, app, TESTS)[1])
    run = client.settled(run_id)
    assert [run[name] for name in ("status", "passed", "failed", "errored")] == ["partial", 2, 1, 1]
    page = client.http.get(f"/v1/test-runs/{run_id}/results")
    Contract().check(page)
    single, remembered, wrong, broken = page.json()["items"]
    assert (single["input"], single["turns"], single["output"]["output"]) == ("say 4", None, "4")
    assert (remembered["input"], [turn["input"] for turn in remembered["turns"]]) == (
        None,
        ["say a", "say b", "recall"],
    )
    assert len({turn["conversation_id"] for turn in remembered["output"]["turns"]}) == 1
    assert wrong["scores"]["reason"] == "turn 1: equals: expected '2', the output is '1'"
    assert [(score["turn"], score["passed"]) for score in wrong["scores"]["scores"]] == [(1, False), (None, True)]
    assert broken["error"]["message"].startswith("turn 2: the endpoint answered HTTP 400")
    assert [turn["output"] for turn in broken["output"]["turns"]] == ["x", None]
    assert "say never" not in app.asked


def test_stored_conversations_are_judged_again_without_asking(client: Client, worker: Worker, app: Application):
    run_id = client.execute(configure(client, app, TESTS)[1])
    client.settled(run_id)
    asked = app.asked.total()
    body = {"metrics": [{"type": "contains", "value": "a"}]}
    again = client.settled(client.post(f"/v1/test-runs/{run_id}/rescore", body)["test_run_id"])
    assert [again[name] for name in ("status", "passed", "failed", "errored")] == ["partial", 1, 2, 1]
    assert app.asked.total() == asked
    for before, after in zip(client.results(run_id), client.results(again["id"]), strict=True):
        assert before["output"] == after["output"]
    retried = client.settled(client.post(f"/v1/test-runs/{run_id}/retry", {"statuses": ["error"]})["test_run_id"])
    assert (retried["total"], app.asked["say x"]) == (1, 2)


@pytest.mark.parametrize(("kind", "media_type"), [("jsonl", "application/x-ndjson"), ("csv", "text/csv")])
def test_an_exported_set_is_imported_as_it_was_and_runs_the_same(
    client: Client, worker: Worker, app: Application, kind: str, media_type: str
):
    first, _ = configure(client, app, TESTS)
    second, configuration = configure(client, app, [{"input": "say something"}])
    file = client.http.get(f"{first}/export", params={"format": kind}).content
    imported = client.http.post(
        f"{second}/import", params={"mode": "replace"}, content=file, headers={"Content-Type": media_type}
    )
    assert (imported.status_code, imported.json()["imported"]) == (200, 4)
    sets = [client.get(f"{path}/tests")["items"] for path in (first, second)]
    without_ids = [[{**test, "id": "", "position": 0} for test in tests] for tests in sets]
    assert without_ids[0] == without_ids[1]
    run = client.settled(client.execute(configuration))
    assert [run[name] for name in ("passed", "failed", "errored")] == [2, 1, 1]


def test_reports_tell_what_was_said_in_each_turn(client: Client, worker: Worker, app: Application):
    run_id = client.execute(configure(client, app, TESTS)[1])
    client.settled(run_id)
    files = {
        kind: client.http.get(f"/v1/test-runs/{run_id}/export", params={"format": kind}).text
        for kind in ("jsonl", "csv", "junit")
    }
    assert [json.loads(line) for line in files["jsonl"].splitlines()] == client.results(run_id)
    rows = list(csv.DictReader(io.StringIO(files["csv"], newline="")))
    assert (rows[1]["input"], rows[1]["output"]) == ('["say a","say b","recall"]', "say a; say b")
    assert [turn["output"] for turn in json.loads(rows[1]["turns"])] == ["a", "b", "say a; say b"]
    assert rows[0]["turns"] == ""
    assert "turn 1: say x\nanswer 1: x\nturn 2: fail\nanswer 2: \n" in files["junit"]
