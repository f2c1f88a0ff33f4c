"""Runs made of other runs: the same tests again, or the same answers judged again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.integration.lane_runs import Runs, opened_runs, serving
from tests.postgres import TestDatabase
from workerapp.contract.metrics import HttpStatus, StartsWith
from workerapp.contract.repetition import AnswersAgain, TestsAgain
from workerapp.contract.states import ResultStatus
from workerapp.execution.plan import PlanFailed

#: The application echoes, and does not answer what begins with "broken".
TESTS: list[dict[str, Any]] = [
    {"input": "right", "expected": "right"},
    {"input": "wrong", "expected": "else"},
    {"input": "broken", "expected": "broken"},
    {"input": "w-other", "expected": "w"},
]
OUTCOME = {"right": "pass", "wrong": "fail", "broken": "error", "w-other": "fail"}


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(database) as opened:
        yield opened


async def test_a_rerun_has_the_tests_of_its_source_whatever_the_set_has_become(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
        runs.admin.execute("UPDATE test SET archived_at = now() WHERE input = '\"right\"'")
        runs.admin.execute(
            "INSERT INTO test (organization_id, test_set_id, position, input)"
            " SELECT organization_id, test_set_id, 9, '\"new\"' FROM test LIMIT 1"
        )
        (again,) = runs.repeat(lane.test_run_id, TestsAgain(source_id=lane.test_run_id))
        await runs.work(again)
    assert runs.statuses(again.test_run_id) == runs.statuses(lane.test_run_id) == OUTCOME
    assert application.asked["right"] == 2
    assert "new" not in application.asked


@pytest.mark.parametrize(
    ("statuses", "repeated"),
    [(["error"], {"broken"}), (["fail", "error"], {"wrong", "broken", "w-other"}), (["pass"], {"right"})],
)
async def test_a_retry_has_only_the_tests_that_ended_so(runs: Runs, statuses: list[str], repeated: set[str]):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
        application.asked.clear()
        chosen = TestsAgain(source_id=lane.test_run_id, statuses=[ResultStatus(status) for status in statuses])
        (again,) = runs.repeat(lane.test_run_id, chosen)
        await runs.work(again)
    assert set(application.asked) == repeated
    assert set(runs.statuses(again.test_run_id)) == repeated
    places = runs.row(
        "SELECT array_agg(position ORDER BY position) FROM test_result WHERE test_run_id = %s", again.test_run_id
    )
    assert places == (list(range(len(repeated))),)


async def test_a_rescore_asks_nothing_and_judges_as_before(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
        application.asked.clear()
        (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
        await runs.work(again)
    assert not application.asked
    assert runs.statuses(again.test_run_id) == OUTCOME
    assert runs.status(again.test_run_id) == runs.status(lane.test_run_id) == "partial"
    same = "SELECT count(*) FROM test_result a JOIN test_result b USING (test_id) WHERE a.test_run_id = %s"
    same += " AND b.test_run_id = %s AND (a.output, a.latency_ms, a.http_status, a.error)"
    same += " IS NOT DISTINCT FROM (b.output, b.latency_ms, b.http_status, b.error) AND b.attempts = 0"
    assert runs.row(same, lane.test_run_id, again.test_run_id) == (len(TESTS),)


async def test_a_rescore_can_judge_by_other_metrics_and_errors_stay_errors(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
    metrics = [StartsWith(type="starts_with")]
    (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id, metrics=metrics))
    await runs.work(again)
    assert runs.statuses(again.test_run_id) == OUTCOME | {"w-other": "pass"}
    row = runs.row(
        "SELECT error->>'code', http_status, output FROM test_result WHERE test_run_id = %s AND status = 'error'",
        again.test_run_id,
    )
    assert row == ("http_status", 500, None)


async def test_a_rescore_does_not_need_the_endpoints_secrets(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
    runs.admin.execute("UPDATE endpoint SET sealed_headers = 'sealed with a key that is gone'")
    (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
    await runs.work(again)
    assert runs.statuses(again.test_run_id) == OUTCOME


async def test_a_rescore_can_be_rescored_when_its_source_is_gone(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
    (second,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
    runs.admin.execute("DELETE FROM lane WHERE test_run_id = %s", (lane.test_run_id,))
    runs.admin.execute("DELETE FROM test_run WHERE id = %s", (lane.test_run_id,))
    await runs.work(second)
    (third,) = runs.repeat(second.test_run_id, AnswersAgain(source_id=second.test_run_id))
    await runs.work(third)
    assert runs.statuses(third.test_run_id) == OUTCOME


async def test_a_run_whose_source_was_pruned_meanwhile_is_not_planned_from_the_set(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, TESTS)
        await runs.work(lane)
    runs.admin.execute("DELETE FROM test_result")
    with pytest.raises(PlanFailed, match="no such results any more"):
        runs.repeat(lane.test_run_id, TestsAgain(source_id=lane.test_run_id))


async def test_stored_answers_are_judged_again_turn_by_turn(runs: Runs):
    turns = [{"input": "a", "expected": "a", "assertions": [{"type": "equals"}]}, {"input": "bb"}]
    broken = [{"input": "c"}, {"input": "broken"}]
    async with serving() as application:
        (lane,) = runs.plan(application.url, [{"turns": turns}, {"turns": broken}])
        await runs.work(lane)
        # What ended without an answer stays an error, whatever is asked for now.
        metrics = [StartsWith(type="starts_with", value="b"), HttpStatus(type="http_status", codes=(200, 500))]
        (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id, metrics=metrics))
        await runs.work(again)
    assert application.asked["a"] == application.asked["bb"] == application.asked["c"] == 1
    answers = [_conversations(runs, run) for run in (lane.test_run_id, again.test_run_id)]
    (first, error), (judged, error_again) = answers
    assert (first["error"]["code"], judged["status"]) == ("not_judged", "pass")
    assert [(one["turn"], one["type"]) for one in judged["scores"]["scores"]] == [
        (1, "equals"),
        (None, "starts_with"),
        (None, "http_status"),
    ]
    assert first["output"] == judged["output"]
    assert (judged["latency_ms"], judged["attempts"]) == (first["latency_ms"], 0)
    assert error["error"]["message"].startswith("turn 2: the endpoint answered HTTP 500")
    assert [told["output"] for told in error["output"]["turns"]] == ["c", None]
    assert {**error_again, "attempts": 4} == error


async def test_a_status_that_was_asked_for_and_is_not_any_more_is_an_error(runs: Runs):
    test = {"input": "status 422", "assertions": [], "expected": "x"}
    async with serving() as application:
        (lane,) = runs.plan(application.url, [test], metrics=[{"type": "http_status", "codes": [422]}])
        await runs.work(lane)
        again = [
            AnswersAgain(source_id=lane.test_run_id),
            AnswersAgain(source_id=lane.test_run_id, metrics=[StartsWith(type="starts_with", value="nu")]),
        ]
        lanes = [runs.repeat(lane.test_run_id, repetition)[0] for repetition in again]
        for one in lanes:
            await runs.work(one)
    assert [list(runs.statuses(one.test_run_id).values()) for one in (lane, *lanes)] == [["pass"], ["pass"], ["error"]]


def _conversations(runs: Runs, run: UUID) -> list[dict[str, Any]]:
    rows = runs.admin.execute(
        "SELECT jsonb_build_object('status', status, 'output', output, 'scores', scores, 'latency_ms', latency_ms,"
        " 'attempts', attempts, 'http_status', http_status, 'error', error)"
        " FROM test_result WHERE test_run_id = %s ORDER BY position",
        (run,),
    )
    return [row for (row,) in rows]
