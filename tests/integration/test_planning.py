"""Runs of large test sets begin with their first tests while the others are still being planned."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from tests.integration.lane_runs import EQUALS, Runs, opened_runs, serving
from tests.integration.sweeping import sweep, sweeping_app
from tests.postgres import TestDatabase
from tests.records import add_configuration
from tests.waiting import until
from workerapp.db.connection import ROLE, connect
from workerapp.execution.plan import plan_rest

TESTS, HEAD = 12, 5


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(database) as opened:
        yield opened


def configure(runs: Runs, url: str = "http://127.0.0.1:9/", **spec: Any) -> UUID:
    tests = [{"input": f"question {number}", "expected": f"question {number}"} for number in range(TESTS)]
    return add_configuration(runs.admin, runs.organization_id, tests=tests, url=url, **{"metrics": EQUALS} | spec)


def plan_the_rest(runs: Runs, run: UUID) -> None:
    with runs.database.session(runs.organization_id) as db:
        plan_rest(db, run)


def counts(runs: Runs, run: UUID) -> tuple[int, int, bool, int | None, int]:
    """Planned, pending, whether it is still being planned, of which version, and how many results there are."""
    return tuple(  # type: ignore[return-value]
        runs.row(
            "SELECT planned, pending, planning, (snapshot->>'test_set_version')::integer,"
            " (SELECT count(*) FROM test_result WHERE test_run_id = r.id) FROM test_run r WHERE id = %s",
            run,
        )
    )


def test_a_run_knows_its_total_when_only_its_first_tests_are_planned(runs: Runs) -> None:
    run = runs.execute(configure(runs), head_start=HEAD)[0].test_run_id
    assert counts(runs, run) == (TESTS, TESTS, True, 1, HEAD)
    assert list(runs.statuses(run)) == [f"question {number}" for number in range(HEAD)]
    plan_the_rest(runs, run)
    assert counts(runs, run) == (TESTS, TESTS, False, 1, TESTS)
    assert list(runs.statuses(run)) == [f"question {number}" for number in range(TESTS)]
    plan_the_rest(runs, run)
    assert counts(runs, run) == (TESTS, TESTS, False, 1, TESTS)


async def test_a_lane_waits_for_tests_that_are_still_to_be_planned(runs: Runs) -> None:
    async with serving() as application:
        lane = runs.execute(configure(runs, application.url), head_start=HEAD)[0]
        working = asyncio.create_task(runs.finish(lane))
        passed = "SELECT passed FROM test_run WHERE id = %s"
        await asyncio.to_thread(until, lambda: runs.row(passed, lane.test_run_id) == (HEAD,))
        assert runs.status(lane.test_run_id) == "running"
        plan_the_rest(runs, lane.test_run_id)
        await working
    assert runs.status(lane.test_run_id) == "completed"
    assert sorted(application.asked.values()) == [1] * TESTS
    assert set(runs.statuses(lane.test_run_id).values()) == {"pass"}


def test_a_run_whose_set_changed_before_it_was_planned_is_of_no_version(runs: Runs) -> None:
    run = runs.execute(configure(runs), head_start=HEAD)[0].test_run_id
    runs.admin.execute(
        "UPDATE test SET archived_at = now() WHERE organization_id = %s AND position IN (1, 10)",
        (runs.organization_id,),
    )
    runs.admin.execute("UPDATE test_set SET version = version + 1 WHERE organization_id = %s", (runs.organization_id,))
    plan_the_rest(runs, run)
    assert counts(runs, run) == (TESTS - 1, TESTS - 1, False, None, TESTS - 1)


def test_a_run_that_is_cancelled_while_it_is_planned_settles_with_all_of_its_tests(runs: Runs) -> None:
    run = runs.execute(configure(runs), head_start=HEAD)[0].test_run_id
    runs.admin.execute("SELECT cancel_run(%s)", (run,))
    runs.row("SELECT settle_run(%s)", run)
    assert runs.status(run) == "running"
    plan_the_rest(runs, run)
    assert runs.status(run) == "cancelled"
    assert runs.row("SELECT cancelled, pending FROM test_run WHERE id = %s", run) == (TESTS, 0)


def test_a_sample_from_the_beginning_is_planned_like_a_set_of_that_size(runs: Runs) -> None:
    run = runs.execute(configure(runs), head_start=HEAD, sample={"first": HEAD + 2})[0].test_run_id
    assert counts(runs, run) == (HEAD + 2, HEAD + 2, True, 1, HEAD)
    plan_the_rest(runs, run)
    assert counts(runs, run) == (HEAD + 2, HEAD + 2, False, 1, HEAD + 2)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "sequential"},
        {"repeats": 2},
        {"max_failures": 1},
        {"sample": {"random": HEAD + 1, "seed": 1}},
        {"sample": {"first": HEAD}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_where_it_would_make_a_difference_all_is_planned_at_once(runs: Runs, options: dict[str, Any]) -> None:
    run = runs.execute(configure(runs), head_start=HEAD, **options)[0].test_run_id
    planned, pending, planning, version, results = counts(runs, run)
    assert (planned, planning, version) == (results, False, 1)
    assert pending == results


def test_all_is_planned_at_once_where_tests_may_refer_to_named_metrics(runs: Runs) -> None:
    runs.admin.execute(
        "INSERT INTO metric (organization_id, name, spec) VALUES (%s, 'polite', %s)",
        (runs.organization_id, Jsonb({"type": "contains", "value": "please"})),
    )
    run = runs.execute(configure(runs), head_start=HEAD)[0].test_run_id
    assert counts(runs, run) == (TESTS, TESTS, False, 1, TESTS)


def test_the_sweeper_plans_what_a_task_did_not_live_to_plan(database: TestDatabase, runs: Runs) -> None:
    run = runs.execute(configure(runs), head_start=HEAD)[0].test_run_id
    address = runs.settings.database
    with sweeping_app(database) as app, connect(address, application_name="sweep", role=ROLE) as connection:
        sweep(app, connection)
        assert counts(runs, run) == (TESTS, TESTS, True, 1, HEAD)
        runs.admin.execute("UPDATE test_run SET started_at = now() - interval '2 minutes' WHERE id = %s", (run,))
        sweep(app, connection)
        assert counts(runs, run) == (TESTS, TESTS, False, 1, TESTS)
