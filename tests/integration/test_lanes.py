"""Lanes against a real endpoint: what they execute, how they share it, take turns, take over, and stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.integration.lane_runs import Runs, opened_runs, serving
from tests.postgres import TestDatabase
from tests.records import add_organization, connect
from workerapp.contract.endpoint_secrets import hide_secrets, secrets_of
from workerapp.contract.specs import EndpointSpec
from workerapp.db.sealing import endpoint_place, new_key
from workerapp.execution.lanes import SliceOutcome
from workerapp.execution.slices import SliceReport, run_slice


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(database, lane_lease_seconds=2) as opened:
        yield opened


def questions(count: int) -> list[dict[str, Any]]:
    """Every third one is answered wrongly."""
    return [{"input": f"q{n}", "expected": f"q{n}" if n % 3 else "something else"} for n in range(count)]


async def test_a_lane_executes_every_test_once_and_settles_the_run(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(60), concurrency=20)
        report = await runs.work(lane)
    assert report == SliceReport(SliceOutcome.FINISHED, tests=60)
    assert set(application.asked.values()) == {1}
    assert Counter(runs.statuses(lane.test_run_id).values()) == {"pass": 40, "fail": 20}
    row = runs.row(
        "SELECT r.status, r.pending, r.passed, r.failed, t.state, t.result->>'status', l.finished_at IS NOT NULL"
        " FROM test_run r JOIN task t ON t.id = r.task_id JOIN lane l ON l.test_run_id = r.id WHERE r.id = %s",
        lane.test_run_id,
    )
    assert row == ("completed", 0, 40, 20, "SUCCESS", "completed", True)


async def test_a_test_that_gets_no_answer_is_an_error_with_its_reason(runs: Runs):
    async with serving() as application:
        tests = [{"input": "fine", "expected": "fine"}, {"input": "broken", "expected": "x"}]
        (lane,) = runs.plan(application.url, tests)
        await runs.work(lane)
    assert runs.statuses(lane.test_run_id) == {"fine": "pass", "broken": "error"}
    row = runs.row("SELECT http_status, attempts, error->>'message', output FROM test_result WHERE status = 'error'")
    assert row[:2] == (500, 3)
    assert "500" in row[2]
    assert row[3] is None
    assert runs.status(lane.test_run_id) == "partial"


async def test_an_endpoint_whose_secrets_nobody_can_open_fails_its_run_and_says_why(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(3))
        runs.admin.execute("UPDATE endpoint SET sealed_headers = 'sealed with a key that is gone'")
        await runs.work(lane)
    assert not application.asked
    assert runs.status(lane.test_run_id) == "failed"
    assert runs.row("SELECT DISTINCT error->>'code' FROM test_result") == ("headers_sealed",)


async def test_an_endpoint_that_is_down_ends_its_run_early(runs: Runs):
    (lane,) = runs.plan("http://127.0.0.1:1/", questions(40), endpoint={"max_attempts": 1, "max_concurrency": 1})
    await runs.work(lane, target_circuit_tests=3)
    codes = runs.admin.execute("SELECT error->>'code', count(*) FROM test_result GROUP BY 1").fetchall()
    assert dict(codes) == {"connect_failed": 3, "circuit_open": 37}
    assert runs.row("SELECT status FROM test_run WHERE id = %s", lane.test_run_id) == ("failed",)


async def test_an_endpoint_has_limits_of_its_own_that_the_lanes_of_a_run_share(runs: Runs):
    async with serving() as application:
        limits = {"max_concurrency": 4, "requests_per_second": 50}
        lanes = runs.plan(application.url, questions(20), lane_concurrency=3, concurrency=10, endpoint=limits)
        began = monotonic()
        await asyncio.gather(*map(runs.work, lanes))
        seconds = monotonic() - began
    assert len(lanes) == 2
    assert application.most_in_flight <= 4
    assert sum(application.asked.values()) == 20
    # Two lanes that each took the whole rate would need half of this.
    assert seconds > 0.3


async def test_the_secrets_of_an_endpoint_are_opened_for_its_run_and_are_in_nothing_it_stores(runs: Runs):
    settings = runs.settings.model_copy(update={"secret_keys": (new_key(),)})
    async with serving() as application:
        endpoint = {"name": "app", "url": application.url, "auth": {"type": "bearer", "token": "tok-very-secret"}}
        spec = EndpointSpec.model_validate(endpoint | {"request": {"input": "{{ input }}"}})
        (lane,) = runs.plan(application.url, questions(3), endpoint=hide_secrets(spec))
        (endpoint_id,) = runs.row("SELECT id FROM endpoint")
        sealed = settings.sealer.seal(secrets_of(spec) or "", endpoint_place(runs.organization_id, endpoint_id))
        runs.admin.execute("UPDATE endpoint SET sealed_headers = %s", (sealed,))
        await run_slice(runs.slice_of(lane), settings)
    assert application.authorizations == {"Bearer tok-very-secret"}
    stored = runs.row(
        "SELECT string_agg(r::text, '') || (SELECT string_agg(t::text, '') FROM test_run t) FROM test_result r"
    )
    assert "very-secret" not in stored[0]


async def test_lanes_share_the_runs_concurrency_exactly(runs: Runs):
    async with serving(pause=0.02) as application:
        lanes = runs.plan(application.url, questions(90), concurrency=13, lane_concurrency=5)
        limits = runs.admin.execute("SELECT concurrency FROM lane ORDER BY number").fetchall()
        reports = await asyncio.gather(*(runs.work(lane) for lane in lanes))
    assert sorted(limit for (limit,) in limits) == [4, 4, 5]
    assert application.most_in_flight == 13
    assert sum(report.tests for report in reports) == 90
    assert all(report.tests > 0 for report in reports)
    assert set(application.asked.values()) == {1}
    assert runs.status(lanes[0].test_run_id) == "completed"


async def test_in_sequence_one_test_runs_at_a_time_in_the_order_of_the_set(runs: Runs):
    async with serving() as application:
        lanes = runs.plan(application.url, questions(12), mode="sequential", concurrency=10)
        assert len(lanes) == 1
        await runs.work(lanes[0])
    assert application.order == [f"q{n}" for n in range(12)]
    assert application.most_in_flight == 1


async def test_a_message_delivered_again_only_says_that_the_lane_has_finished(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(5))
        await runs.work(lane)
        again = await runs.work(lane)
    assert again == SliceReport(SliceOutcome.FINISHED, tests=0)
    assert sum(application.asked.values()) == 5


async def test_a_lane_that_somebody_works_on_is_busy(runs: Runs):
    async with serving(held=True) as application:
        (lane,) = runs.plan(application.url, questions(5))
        first = asyncio.create_task(runs.work(lane))
        await application.reached.wait()
        second = await runs.work(lane)
        application.gate.set()
        await first
    assert second.outcome is SliceOutcome.BUSY
    assert 0 < second.free_in <= 2
    assert set(application.asked.values()) == {1}


async def test_a_slice_ends_in_time_and_the_next_one_goes_on_where_it_stopped(runs: Runs):
    async with serving(pause=0.02) as application:
        (lane,) = runs.plan(application.url, questions(40), concurrency=2)
        first = await runs.work(lane, lane_slice_seconds=0.1)
        assert first.outcome is SliceOutcome.CONTINUES
        assert 0 < first.tests < 40
        assert runs.row("SELECT count(*) FROM test_result WHERE leased_by IS NOT NULL") == (0,)
        runs.admin.execute("UPDATE lane SET slice = 1, leased_by = NULL, lease_until = NULL")
        assert (await runs.work(lane, 0)).outcome is SliceOutcome.PASSED
        second = await runs.work(lane, 1)
    assert second == SliceReport(SliceOutcome.FINISHED, tests=40 - first.tests)
    assert set(application.asked.values()) == {1}
    assert runs.status(lane.test_run_id) == "completed"


async def test_tests_of_a_dead_lane_are_taken_over_when_their_leases_end(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(10))
        runs.admin.execute(
            "UPDATE test_result SET leased_by = %s, lease_until = now() + interval '0.7 seconds' WHERE position < 4",
            (uuid4(),),
        )
        report = await runs.work(lane)
    assert report == SliceReport(SliceOutcome.FINISHED, tests=10)
    assert [f"q{n}" for n in range(4)] == sorted(application.order[-4:])


async def test_what_the_process_before_had_leased_is_inherited_at_once(runs: Runs):
    """Its lease on the lane has ended; those on the tests were renewed a little later and have not."""
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(10))
        dead = uuid4()
        runs.admin.execute("UPDATE lane SET leased_by = %s, lease_until = now() - interval '1 second'", (dead,))
        runs.admin.execute("UPDATE test_result SET leased_by = %s, lease_until = now() + interval '1 hour'", (dead,))
        async with asyncio.timeout(5):
            report = await runs.work(lane)
    assert report == SliceReport(SliceOutcome.FINISHED, tests=10)


async def test_a_lane_leaves_tests_to_a_live_lane_and_ends(runs: Runs):
    async with serving(held=True) as application:
        lanes = runs.plan(application.url, questions(4), concurrency=4, lane_concurrency=2)
        first = asyncio.create_task(runs.work(lanes[0]))
        await application.reached.wait()
        application.reached.clear()
        second = asyncio.create_task(runs.work(lanes[1], lane_batch=1))
        application.gate.set()
        reports = await asyncio.gather(first, second)
    assert {report.outcome for report in reports} == {SliceOutcome.FINISHED}
    assert sum(report.tests for report in reports) == 4
    assert set(application.asked.values()) == {1}


async def test_cancelling_stops_a_lane_in_the_middle_of_a_request(runs: Runs):
    async with serving(held=True) as application:
        (lane,) = runs.plan(application.url, questions(10), concurrency=3)
        work = asyncio.create_task(runs.work(lane))
        await application.reached.wait()
        runs.admin.execute("UPDATE test_run SET cancel_requested_at = now()")
        async with asyncio.timeout(5):
            report = await work
    assert report.outcome is SliceOutcome.FINISHED
    assert set(runs.statuses(lane.test_run_id).values()) == {"cancelled"}
    assert runs.status(lane.test_run_id) == "cancelled"
    assert runs.row("SELECT state FROM task")[0] == "REVOKED"


async def test_a_cancelled_run_keeps_the_results_it_had(runs: Runs):
    async with serving(pause=0.01) as application:
        (lane,) = runs.plan(application.url, questions(500), concurrency=2)
        work = asyncio.create_task(runs.work(lane))
        await until(lambda: runs.row("SELECT pending < planned FROM test_run")[0])
        runs.admin.execute("UPDATE test_run SET cancel_requested_at = now()")
        report = await work
    executed, cancelled = runs.row(
        "SELECT count(*) FILTER (WHERE status IN ('pass', 'fail')), count(*) FILTER (WHERE status = 'cancelled')"
        " FROM test_result"
    )
    assert runs.row("SELECT status, pending, passed + failed, cancelled, errored FROM test_run") == (
        "cancelled",
        0,
        executed,
        cancelled,
        0,
    )
    assert executed == report.tests > 0
    assert executed + cancelled == 500


async def test_a_result_that_another_lane_wrote_first_stands_and_counts_once(runs: Runs):
    async with serving(held=True) as application:
        (lane,) = runs.plan(application.url, questions(3))
        work = asyncio.create_task(runs.work(lane))
        await application.reached.wait()
        with connect(runs.settings.database_url, role="worker_rw", organization_id=runs.organization_id) as other:
            other.execute(
                "SELECT record_results(%s, (SELECT jsonb_agg(jsonb_build_object('test_id', test_id, 'status', 'error',"
                " 'attempts', 1)) FROM test_result WHERE position = 1))",
                (lane.test_run_id,),
            )
        application.gate.set()
        await work
    assert runs.statuses(lane.test_run_id) == {"q0": "fail", "q1": "error", "q2": "pass"}
    assert runs.row("SELECT status, pending, passed, failed, errored FROM test_run") == ("partial", 0, 1, 1, 1)


async def test_a_lane_whose_connection_dies_is_free_for_the_next_delivery(runs: Runs):
    async with serving(held=True) as application:
        (lane,) = runs.plan(application.url, questions(6))
        work = asyncio.create_task(runs.work(lane))
        await application.reached.wait()
        runs.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'lane' AND datname = current_database()"
        )
        application.gate.set()
        with pytest.raises(psycopg.OperationalError):
            await work
        await until(lambda: runs.row("SELECT lease_until < now() FROM lane")[0])
        report = await runs.work(lane)
    assert report.outcome is SliceOutcome.FINISHED
    assert runs.status(lane.test_run_id) == "completed"


async def test_a_slice_of_another_organization_finds_no_lane(runs: Runs):
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(3))
        stranger = add_organization(runs.admin)
        report = await run_slice(replace(runs.slice_of(lane), organization_id=str(stranger)), runs.settings)
        assert report.outcome is SliceOutcome.PASSED
    assert not application.asked


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Look again and again until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.01)
