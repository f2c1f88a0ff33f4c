"""One test set against several configurations, over REST: the runs end and are compared, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.gsm8k import TOTAL
from tests.acceptance.run_groups import NOWHERE, ask, assert_joined_once, compare_models, statuses, verdicts
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker


def test_two_models_are_compared_exactly(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path, admin: psycopg.Connection
):
    submitted = compare_models(client, shared, recorded.url)
    group = client.settled_group(submitted["run_group_id"])
    both = Counter(verdicts(shared))
    assert (group["status"], group["finished"], group["total"]) == ("completed", 2, 2)
    assert [run["passed"] for run in group["runs"]] == [458, 286]
    assert [run["test_run_id"] for run in group["runs"]] == [run["test_run_id"] for run in submitted["runs"]]
    comparison = group["comparison"]
    assert (comparison["tests"], comparison["differing"]) == (TOTAL, both[True, False] + both[False, True])
    baseline, other = comparison["runs"]
    assert (baseline["changes"], baseline["pass_rate"]) == (None, group["runs"][0]["pass_rate"])
    changes = {change: count for change, count in other["changes"].items() if count}
    assert changes == {
        "newly_failing": both[True, False],
        "newly_passing": both[False, True],
        "unchanged": both[True, True] + both[False, False],
    }
    path = f"/v1/test-runs/{other['test_run_id']}/compare/{baseline['test_run_id']}"
    assert client.get(path)["counts"] == other["changes"]
    assert_joined_once(client, admin, submitted, parts=2)
    task = client.task(submitted["task_id"])
    assert task["result"]["counts"] == {"total": 2, "completed": 2, "partial": 0, "failed": 0, "cancelled": 0}


def test_the_differences_are_those_of_the_recorded_answers(
    client: Client, worker: Worker, recorded: RecordedEndpoint, shared: Path
):
    total = 200
    group = client.settled_group(compare_models(client, shared, recorded.url, total)["run_group_id"])
    correct = verdicts(shared, total)
    differing = [place for place, (first, second) in enumerate(correct) if first != second]
    found = list(pages(client, group["links"]["differences"], limit=30))
    assert [item["position"] for item in found] == differing
    for item in found:
        outcomes = [outcome["result"]["status"] == "pass" for outcome in item["outcomes"]]
        assert tuple(outcomes) == correct[item["position"]]
    failing = list(pages(client, group["links"]["differences"], change="newly_failing"))
    assert [item["position"] for item in failing] == [place for place in differing if correct[place][0]]


def pages(client: Client, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = client.get(path, **query, **cursor)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def test_the_stream_of_a_group_tells_each_run_and_ends(client: Client, worker: Worker, app: Application):
    submitted = ask(client, app.url, app.url, app.url)
    events = list(client.events(submitted["links"]["events"], cursor="0"))
    assert [(event.type, event.body["data"]["finished"]) for event in events] == [
        ("run_group.queued", 0),
        *(("run_group.progress", finished) for finished in range(4)),
        ("run_group.completed", 3),
    ]
    assert [event.seq for event in events] == list(range(1, 7))


def test_an_endpoint_that_is_down_fails_its_run_and_no_other(
    client: Client, worker: Worker, app: Application, admin: psycopg.Connection
):
    submitted = ask(client, app.url, NOWHERE)
    group = client.settled_group(submitted["run_group_id"])
    assert (group["status"], statuses(group)) == ("partial", ["completed", "failed"])
    assert group["comparison"]["runs"][1]["changes"]["newly_errored"] == 2
    assert_joined_once(client, admin, submitted, parts=2)
