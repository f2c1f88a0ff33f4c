"""Two runs side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import add_configuration, add_run, connect
from tests.rest import Gateway, Tenant, add_tenant, gateway


@dataclass(frozen=True, kw_only=True)
class History:
    """Writes runs that have ended."""

    admin: psycopg.Connection
    organization_id: UUID

    def test_set(self, *inputs: str) -> UUID:
        """A configuration with one test for each input."""
        return self.tests(*({"input": text} for text in inputs))

    def tests(self, *tests: dict[str, Any]) -> UUID:
        """A configuration with these tests."""
        return add_configuration(self.admin, self.organization_id, tests=list(tests))

    def run(self, configuration: UUID, *statuses: str) -> UUID:
        """A run of the set's first tests, which ended so."""
        run = add_run(self.admin, self.organization_id, configuration)
        for position, status in enumerate(statuses):
            self.admin.execute(
                "INSERT INTO test_result (test_run_id, test_id, organization_id, position, status, output, scores)"
                " SELECT %s, t.id, t.organization_id, t.position, %s, %s, %s"
                " FROM test t JOIN test_configuration c USING (test_set_id) WHERE c.id = %s AND t.position = %s",
                (
                    *(run, status, Jsonb({"output": f"{status} {position}"})),
                    *(Jsonb({"score": 0.5, "reason": "why", "scores": []}), configuration, position),
                ),
            )
        return run

    def repeat(self, run: UUID, number: int, *statuses: str) -> None:
        """The run's first tests once more, which ended so."""
        for position, status in enumerate(statuses):
            self.admin.execute(
                "INSERT INTO test_result (test_run_id, test_id, organization_id, position, repeat, status, output)"
                " SELECT test_run_id, test_id, organization_id, position, %s, %s, %s FROM test_result"
                " WHERE test_run_id = %s AND position = %s AND repeat = 1",
                (number, status, Jsonb({"output": f"{status} {position} in {number}"}), run, position),
            )


@pytest.fixture
def history(database: TestDatabase, tenant: Tenant) -> Iterator[History]:
    with connect(database.admin_url) as admin:
        yield History(admin=admin, organization_id=tenant.organization_id)


async def test_every_test_is_told_by_how_its_status_changed(api: httpx.AsyncClient, history: History) -> None:
    questions = history.test_set(*(f"q{number}" for number in range(7)))
    baseline = history.run(questions, "pass", "fail", "error", "pass", "fail", "pass", "unscored")
    run = history.run(questions, "fail", "pass", "pass", "error", "fail", "pass", "fail")
    body = await _compare(api, run, baseline)
    assert {change: count for change, count in body["counts"].items() if count} == {
        "newly_failing": 1,
        "newly_passing": 2,
        "newly_errored": 1,
        "otherwise": 1,
        "unchanged": 2,
    }
    assert [(item["input"], item["change"]) for item in body["items"]] == [
        ("q0", "newly_failing"),
        ("q1", "newly_passing"),
        ("q2", "newly_passing"),
        ("q3", "newly_errored"),
        ("q6", "otherwise"),
    ]
    first = body["items"][0]
    assert first["run"] == {
        "test_id": first["baseline"]["test_id"],
        "position": 0,
        "status": "fail",
        "repeats": 1,
        "passed": 0,
        "score": 0.5,
        "output": "fail 0",
        "reason": "why",
    }
    assert (first["baseline"]["status"], first["baseline"]["output"]) == ("pass", "pass 0")


async def test_tests_of_several_turns_are_matched_by_what_these_ask(api: httpx.AsyncClient, history: History) -> None:
    turns = [{"input": "a"}, {"input": [{"role": "user", "content": "b"}]}]
    corrected = [turns[0] | {"expected": "c", "assertions": [{"type": "equals"}]}, turns[1]]
    earlier = history.run(history.tests({"turns": turns}, {"input": "a"}, {"turns": turns[:1]}), *["pass"] * 3)
    run = history.run(history.tests({"turns": [{"input": "z"}]}, {"turns": corrected}, {"input": "a"}), *["fail"] * 3)
    items = (await _compare(api, run, earlier))["items"]
    assert [(item["change"], item["input"]) for item in items] == [
        ("only_in_run", '["z"]'),
        ("newly_failing", '["a", [{"role": "user", "content": "b"}]]'),
        ("newly_failing", "a"),
        ("only_in_baseline", '["a"]'),
    ]


async def test_a_list_can_be_of_some_changes_and_comes_in_pages(api: httpx.AsyncClient, history: History) -> None:
    questions = history.test_set(*(f"q{number}" for number in range(5)))
    baseline = history.run(questions, *["pass"] * 5)
    run = history.run(questions, "fail", "error", "fail", "fail", "pass")
    first = await _compare(api, run, baseline, change="newly_failing", limit="2")
    second = await _compare(api, run, baseline, change="newly_failing", limit="2", cursor=first["next_cursor"])
    assert [item["input"] for item in first["items"] + second["items"]] == ["q0", "q2", "q3"]
    assert second["next_cursor"] is None
    assert first["counts"] == second["counts"]
    same = await _compare(api, run, baseline, change="unchanged,newly_errored")
    assert [item["change"] for item in same["items"]] == ["newly_errored", "unchanged"]


async def test_tests_of_different_sets_are_matched_by_their_input_in_order(
    api: httpx.AsyncClient, history: History
) -> None:
    baseline = history.run(history.test_set("same", "twice", "twice", "gone"), "pass", "pass", "fail", "pass")
    run = history.run(history.test_set("new", "twice", "twice", "same"), "pass", "fail", "fail", "pass")
    body = await _compare(api, run, baseline, change="newly_failing,unchanged,only_in_run,only_in_baseline")
    assert [(item["input"], item["change"], _positions(item)) for item in body["items"]] == [
        ("new", "only_in_run", (0, None)),
        ("twice", "newly_failing", (1, 1)),
        ("twice", "unchanged", (2, 2)),
        ("same", "unchanged", (3, 0)),
        ("gone", "only_in_baseline", (None, 3)),
    ]


async def test_a_test_with_several_repeats_has_the_worst_of_their_outcomes(
    api: httpx.AsyncClient, history: History
) -> None:
    questions = history.test_set(*(f"q{number}" for number in range(6)))
    baseline = history.run(questions, *["pass"] * 6)
    run = history.run(questions, "pass", "pass", "fail", "cancelled", "pass", "unscored")
    for repeat, statuses in ((2, "pass pass error pass pending"), (3, "pass fail pass pass pass")):
        history.repeat(run, repeat, *statuses.split())
    body = await _compare(api, run, baseline, change="unchanged,newly_failing,newly_errored,otherwise")
    assert [(item["run"]["status"], item["change"]) for item in body["items"]] == [
        ("pass", "unchanged"),
        ("fail", "newly_failing"),
        ("error", "newly_errored"),
        ("cancelled", "otherwise"),
        ("pending", "otherwise"),
        ("unscored", "otherwise"),
    ]
    failing = body["items"][1]
    assert {name: failing["run"][name] for name in ("repeats", "passed", "output")} == {
        "repeats": 3,
        "passed": 2,
        "output": "fail 1 in 3",
    }
    assert (failing["baseline"]["repeats"], failing["baseline"]["passed"]) == (1, 1)


async def test_long_texts_are_cut_off(database: TestDatabase, tenant: Tenant, history: History) -> None:
    questions = history.test_set("a long question")
    run, baseline = history.run(questions, "fail"), history.run(questions, "pass")
    async with gateway(database.url, excerpt_length=6) as served, served.client(tenant) as client:
        (item,) = (await _compare(client, run, baseline))["items"]
    assert (item["input"], item["run"]["output"]) == ("a long", "fail 0")


async def test_runs_without_results_compare_to_nothing(api: httpx.AsyncClient, history: History) -> None:
    questions = history.test_set("q")
    body = await _compare(api, history.run(questions), history.run(questions))
    assert (set(body["counts"].values()), body["items"], body["next_cursor"]) == ({0}, [], None)


async def test_neither_run_may_be_another_tenants(
    served: Gateway, database: TestDatabase, api: httpx.AsyncClient, history: History
) -> None:
    mine = history.run(history.test_set("q"), "pass")
    other = add_tenant(database)
    strangers = History(admin=history.admin, organization_id=other.organization_id)
    theirs = strangers.run(strangers.test_set("q"), "pass")
    for run, baseline in ((mine, theirs), (theirs, mine), (mine, uuid4()), (uuid4(), mine)):
        assert (await api.get(f"/v1/test-runs/{run}/compare/{baseline}")).status_code == 404
    async with served.client(other) as stranger:
        assert (await stranger.get(f"/v1/test-runs/{theirs}/compare/{theirs}")).status_code == 200


async def _compare(api: httpx.AsyncClient, run: UUID, baseline: UUID, **query: str) -> dict[str, Any]:
    response = await api.get(f"/v1/test-runs/{run}/compare/{baseline}", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def _positions(item: dict[str, Any]) -> tuple[int | None, int | None]:
    run, baseline = item["run"], item["baseline"]
    return (run and run["position"], baseline and baseline["position"])
