"""How a run is executed: repeats, samples, an early end, and what holds for one run only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import pytest

from tests.integration.lane_runs import EQUALS, MAX_RESULTS, Runs, opened_runs, serving
from tests.postgres import TestDatabase
from tests.records import add_configuration, add_run_group, connect
from workerapp.contract.repetition import AnswersAgain, TestsAgain
from workerapp.contract.states import ResultStatus
from workerapp.execution.lanes import SliceOutcome
from workerapp.execution.plan import PlanFailed, revive_run

NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(database) as opened:
        yield opened


def questions(count: int, *, wrong: tuple[int, ...] = (), **fields: Any) -> list[dict[str, Any]]:
    """Those at the places `wrong` are answered wrongly."""
    return [{"input": f"q{n}", "expected": "else" if n in wrong else f"q{n}"} | fields for n in range(count)]


def places(runs: Runs, run: UUID) -> list[tuple[int, int, str]]:
    """Position, repeat and status of each result."""
    rows = runs.admin.execute(
        "SELECT position, repeat, status FROM test_result WHERE test_run_id = %s ORDER BY 1, 2", (run,)
    )
    return rows.fetchall()


def inputs(runs: Runs, run: UUID) -> list[str]:
    """What the run asks, in the order of its positions."""
    rows = runs.admin.execute(
        "SELECT t.input #>> '{}' FROM test_result r JOIN test t ON t.id = r.test_id"
        " WHERE r.test_run_id = %s ORDER BY r.position",
        (run,),
    )
    return [text for (text,) in rows]


def settings_of(runs: Runs, run: UUID) -> dict[str, Any]:
    (configuration,) = runs.row("SELECT snapshot->'configuration' FROM test_run WHERE id = %s", run)
    return dict(configuration)


# ---------------------------------------------------------------- repeats
async def test_every_test_is_executed_so_often_and_each_time_has_a_result(runs: Runs):
    async with serving() as application:
        lanes = runs.plan(application.url, questions(5, wrong=(1,)), repeats=3, concurrency=4, lane_concurrency=2)
        await asyncio.gather(*map(runs.work, lanes))
    assert application.asked == {f"q{n}": 3 for n in range(5)}
    run = lanes[0].test_run_id
    assert places(runs, run) == [(n, k, "fail" if n == 1 else "pass") for n in range(5) for k in (1, 2, 3)]
    assert runs.row("SELECT status, planned, pending, passed, failed FROM test_run") == ("completed", 15, 0, 12, 3)
    told = "SELECT count(DISTINCT (data->>'position', data->>'repeat')) FROM task_event WHERE type = %s"
    assert runs.row(told, "test_result.finished") == (15,)


async def test_in_sequence_the_whole_set_is_asked_once_before_it_is_asked_again(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(3), repeats=2, mode="sequential")
        await runs.work(lane)
    assert application.order == ["q0", "q1", "q2", "q0", "q1", "q2"]


async def test_each_repeat_is_a_conversation_of_its_own(runs: Runs):
    async with serving() as application:
        endpoint = {"request": {"input": "{{ conversation_id }}"}}
        (lane,) = runs.plan(application.url, questions(1), repeats=3, endpoint=endpoint)
        await runs.work(lane)
    (test_id,) = runs.row("SELECT id FROM test")
    assert len(application.asked) == 3
    assert str(uuid5(lane.test_run_id, str(test_id))) in application.asked, "that of the first is as without repeats"


async def test_a_retry_has_just_the_repeats_that_failed(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(3), repeats=3)
        await runs.work(lane)
        runs.admin.execute(
            "UPDATE test_result SET status = 'fail' WHERE (position, repeat) IN ((1, 3), (2, 1), (2, 2))"
        )
        application.asked.clear()
        failed = TestsAgain(source_id=lane.test_run_id, statuses=[ResultStatus.FAIL])
        (again,) = runs.repeat(lane.test_run_id, failed)
        await runs.work(again)
    assert application.asked == {"q1": 1, "q2": 2}
    assert places(runs, again.test_run_id) == [(0, 3, "pass"), (1, 1, "pass"), (1, 2, "pass")]


async def test_a_rescore_judges_the_answer_of_each_repeat(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(2), repeats=2)
        await runs.work(lane)
        runs.admin.execute('UPDATE test_result SET output = \'{"output": "x"}\' WHERE (position, repeat) = (1, 2)')
        (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
        await runs.work(again)
    assert places(runs, again.test_run_id) == [(0, 1, "pass"), (0, 2, "pass"), (1, 1, "pass"), (1, 2, "fail")]
    assert sum(application.asked.values()) == 4


def test_a_run_of_more_results_than_the_server_allows_is_not_planned(runs: Runs):
    with pytest.raises(PlanFailed, match=r"would have 10100 results; it may have 10000\. Choose a smaller sample"):
        runs.plan(NOWHERE, questions(MAX_RESULTS // 100 + 1), repeats=100)


# ---------------------------------------------------------------- samples
def test_a_sample_can_be_the_first_tests_of_the_set(runs: Runs):
    lanes = runs.plan(NOWHERE, questions(9), sample={"first": 4})
    assert inputs(runs, lanes[0].test_run_id) == ["q0", "q1", "q2", "q3"]


def test_a_sample_by_tags_has_the_tests_with_any_of_them(runs: Runs):
    tests = [
        {"input": f"q{n}", "tags": tags} for n, tags in enumerate([["a"], [], ["b", "c"], ["c"], ["a", "b"], ["d"]])
    ]
    configuration = add_configuration(runs.admin, runs.organization_id, tests=tests)
    chosen = [{"tags": ["a", "b"]}, {"tags": ["a", "b"], "first": 2}, {"tags": ["c"], "random": 9}]
    found = [inputs(runs, runs.execute(configuration, sample=sample)[0].test_run_id) for sample in chosen]
    assert found == [["q0", "q2", "q4"], ["q0", "q2"], ["q2", "q3"]]


def test_a_random_sample_is_the_same_for_a_seed_and_in_the_order_of_the_set(runs: Runs):
    configuration = add_configuration(runs.admin, runs.organization_id, tests=questions(40))

    def sample(seed: int) -> list[str]:
        (lane,) = runs.execute(configuration, sample={"random": 10, "seed": seed})
        return inputs(runs, lane.test_run_id)

    first = sample(7)
    assert len(first) == 10
    assert first == sorted(first, key=lambda text: int(text[1:]))
    assert first == sample(7) != sample(8)


def test_a_random_sample_draws_a_seed_that_the_run_keeps(runs: Runs):
    configuration = add_configuration(runs.admin, runs.organization_id, tests=questions(40))
    (lane,) = runs.execute(configuration, sample={"random": 5})
    sample = settings_of(runs, lane.test_run_id)["sample"]
    (same,) = runs.execute(configuration, sample=sample)
    assert inputs(runs, lane.test_run_id) == inputs(runs, same.test_run_id)
    seeds = [
        settings_of(runs, runs.execute(configuration, sample={"random": 5})[0].test_run_id)["sample"]["seed"]
        for _ in range(2)
    ]
    assert len({sample["seed"], *seeds}) == 3


def test_the_runs_of_a_group_draw_the_same_sample(runs: Runs):
    configuration = add_configuration(runs.admin, runs.organization_id, tests=questions(40))
    groups = [add_run_group(runs.admin, runs.organization_id) for _ in range(2)]
    drawn = [
        inputs(runs, runs.execute(configuration, run_group_id=group, sample={"random": 10})[0].test_run_id)
        for group in (*groups, groups[0])
    ]
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_random_sample_keeps_most_of_its_tests_when_the_set_gets_more(runs: Runs):
    configuration = add_configuration(runs.admin, runs.organization_id, tests=questions(40))
    sample = {"random": 10, "seed": 7}
    before = inputs(runs, runs.execute(configuration, sample=sample)[0].test_run_id)
    runs.admin.execute(
        "INSERT INTO test (organization_id, test_set_id, position, input) SELECT organization_id, test_set_id, 100 + n,"
        " to_jsonb('new ' || n) FROM test_configuration, generate_series(1, 4) n WHERE id = %s",
        (configuration,),
    )
    after = inputs(runs, runs.execute(configuration, sample=sample)[0].test_run_id)
    new = [text for text in after if text.startswith("new")]
    assert len(after) == 10
    assert len(set(before) - set(after)) == len(new)


def test_a_sample_without_a_test_fails_the_run_and_says_why(runs: Runs):
    with pytest.raises(PlanFailed, match="leaves no test: none of the test set has one of the tags x, y"):
        runs.plan(NOWHERE, questions(3, tags=["z"]), sample={"tags": ["x", "y"]})


def test_a_rerun_has_the_sample_of_its_source(runs: Runs):
    configuration = add_configuration(runs.admin, runs.organization_id, tests=questions(30))
    (lane,) = runs.execute(configuration, sample={"random": 5}, repeats=2)
    (again,) = runs.repeat(lane.test_run_id, TestsAgain(source_id=lane.test_run_id))
    assert inputs(runs, again.test_run_id) == inputs(runs, lane.test_run_id)
    names = ("sample", "repeats")
    first, second = (settings_of(runs, run.test_run_id) for run in (lane, again))
    assert [second[name] for name in names] == [first[name] for name in names]


# ---------------------------------------------------------------- an early end
async def test_in_sequence_no_test_is_asked_after_the_last_failure(runs: Runs):
    async with serving() as application:
        tests = questions(8, wrong=(1, 3))
        (lane,) = runs.plan(application.url, tests, mode="sequential", max_failures=2)
        report = await runs.work(lane)
    assert report.outcome is SliceOutcome.FINISHED
    assert application.order == ["q0", "q1", "q2", "q3"]
    assert Counter(runs.statuses(lane.test_run_id).values()) == {"pass": 2, "fail": 2, "cancelled": 4}
    status, pending, cancelled, reason = runs.row("SELECT status, pending, cancelled, reason FROM test_run")
    assert (status, pending, cancelled) == ("completed", 0, 4)
    assert reason.startswith("The run ended early, with 4 of its tests cancelled: 2 failed and 0 could not be executed")


async def test_errors_count_as_failures_and_decide_how_the_run_ends(runs: Runs):
    async with serving() as application:
        tests = [{"input": "broken 1"}, {"input": "broken 2"}, *questions(3)]
        (lane,) = runs.plan(application.url, tests, mode="sequential", max_failures=2)
        await runs.work(lane)
    assert runs.row("SELECT status, errored, cancelled FROM test_run") == ("failed", 2, 3)


async def test_what_is_under_way_in_other_lanes_ends_and_changes_nothing(runs: Runs):
    async with serving(held=True) as application:
        lanes = runs.plan(application.url, questions(8), concurrency=4, lane_concurrency=2, max_failures=1)
        work = [asyncio.create_task(runs.work(lane)) for lane in lanes]
        async with asyncio.timeout(10):
            while application.in_flight < 4:
                application.reached.clear()
                await application.reached.wait()
        with connect(runs.settings.database_url, role="worker_rw", organization_id=runs.organization_id) as other:
            other.execute(
                "SELECT record_results(%s, (SELECT jsonb_agg(jsonb_build_object('test_id', test_id, 'repeat', repeat,"
                " 'status', 'fail', 'attempts', 1)) FROM test_result WHERE position = 1))",
                (lanes[0].test_run_id,),
            )
        async with asyncio.timeout(10):
            reports = await asyncio.gather(*work)
    assert {report.outcome for report in reports} == {SliceOutcome.FINISHED}
    assert Counter(runs.statuses(lanes[0].test_run_id).values()) == {"fail": 1, "cancelled": 7}
    assert runs.row("SELECT status, failed, cancelled FROM test_run") == ("completed", 1, 7)


async def test_a_rescore_judges_every_answer_however_many_fail(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(6), mode="sequential", max_failures=1)
        await runs.work(lane)
        runs.admin.execute('UPDATE test_result SET output = \'{"output": "x"}\'')
        (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
        await runs.work(again)
    assert set(runs.statuses(again.test_run_id).values()) == {"fail"}


async def test_a_retry_of_what_was_cancelled_goes_on_where_the_run_ended(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(5, wrong=(1,)), mode="sequential", max_failures=1)
        await runs.work(lane)
        cancelled = TestsAgain(source_id=lane.test_run_id, statuses=[ResultStatus.CANCELLED])
        (again,) = runs.repeat(lane.test_run_id, cancelled)
        await runs.work(again)
    assert application.order == [f"q{n}" for n in range(5)]


# ---------------------------------------------------------------- for one run only
async def test_what_holds_for_one_run_is_in_its_snapshot_and_not_in_the_next_one(runs: Runs):
    configuration = add_configuration(
        runs.admin, runs.organization_id, tests=questions(6), metrics=EQUALS, concurrency=4, max_failures=3
    )
    overrides = {"mode": "sequential", "repeats": 2, "sample": {"first": 2}, "max_failures": None}
    (lane,) = runs.execute(configuration, **overrides)
    settings = settings_of(runs, lane.test_run_id)
    assert settings["sample"].pop("first") == 2
    assert set(settings["sample"].values()) == {None}
    assert {name: settings[name] for name in ("mode", "repeats", "max_failures", "concurrency", "metrics")} == {
        "mode": "sequential",
        "repeats": 2,
        "max_failures": None,
        "concurrency": 4,
        "metrics": EQUALS,
    }
    (next_lane,) = runs.execute(configuration)
    following = settings_of(runs, next_lane.test_run_id)
    assert (following["max_failures"], following["sample"], "repeats" in following) == (3, None, False)
    assert runs.row("SELECT planned FROM test_run WHERE id = %s", next_lane.test_run_id) == (6,)


def test_a_revived_run_goes_on_as_it_was_started(runs: Runs):
    configuration = add_configuration(runs.admin, runs.organization_id, tests=questions(6), concurrency=6)
    (lane,) = runs.execute(configuration, mode="sequential")
    with runs.database.session(runs.organization_id) as db:
        (revived,) = revive_run(db, lane.test_run_id, lane_concurrency=50, grace=0)
    limits = runs.row("SELECT array_agg(concurrency) FROM lane WHERE number = %s", revived.number)
    assert limits == ([1],)
