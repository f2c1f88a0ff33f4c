"""An endpoint's limits hold for all lanes of all its runs together, and nothing of what they allow is lost."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.integration.lane_runs import Runs, opened_runs, serving
from tests.postgres import TestDatabase
from workerapp.execution.lanes import SliceOutcome
from workerapp.execution.slices import SliceReport

DOWN = "http://127.0.0.1:1/"


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(
        database, lane_lease_seconds=2, lane_watch_seconds=0.05, lane_turn_seconds=60, target_circuit_tests=3
    ) as opened:
        yield opened


def questions(count: int) -> list[dict[str, Any]]:
    return [{"input": f"q{n}", "expected": f"q{n}"} for n in range(count)]


def endpoint_of(runs: Runs) -> UUID:
    return UUID(str(runs.row("SELECT id FROM endpoint")[0]))


def add_user(runs: Runs, granted: int, seconds: float) -> UUID:
    """Somebody else who asks the endpoint, and does not say anything any more for so long."""
    holder = uuid4()
    runs.admin.execute(
        "INSERT INTO endpoint_share (endpoint_id, holder, organization_id, granted, wanted, since, lease_until)"
        " VALUES (%s, %s, %s, %s, %s, now(), now() + make_interval(secs => %s))",
        (endpoint_of(runs), holder, runs.organization_id, granted, granted, seconds),
    )
    return holder


def of_one_endpoint(runs: Runs) -> None:
    """All runs ask the same one."""
    endpoint = Jsonb({"endpoint_id": str(endpoint_of(runs))})
    runs.admin.execute("UPDATE test_run SET snapshot = snapshot || %s", (endpoint,))


def shares(runs: Runs) -> list[int]:
    rows = runs.admin.execute("SELECT granted FROM endpoint_share ORDER BY granted").fetchall()
    return [granted for (granted,) in rows]


async def looked_again(runs: Runs) -> None:
    """Everybody has told how much is kept once more."""
    statement = "SELECT min(lease_until) FROM endpoint_share"
    before = runs.row(statement)
    await until(lambda: runs.row(statement) > before)


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Look again and again until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the database
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- requests at once
async def test_two_runs_share_the_requests_that_an_endpoint_takes_at_once(runs: Runs) -> None:
    async with serving(held=True, pause=0.02) as application:
        (first,) = runs.plan(application.url, questions(60), concurrency=20, endpoint={"max_concurrency": 5})
        (second,) = runs.repeat(first.test_run_id)
        work = [asyncio.create_task(runs.work(lane)) for lane in (first, second)]
        await until(lambda: application.in_flight == 5 and len(shares(runs)) == 2)
        application.gate.set()
        await asyncio.gather(*work)
    assert application.most_in_flight == 5
    assert Counter(application.asked.values()) == {2: 60}
    assert (runs.status(first.test_run_id), runs.status(second.test_run_id)) == ("completed", "completed")
    assert shares(runs) == []


async def test_a_run_that_starts_later_gets_its_share_and_what_is_left_by_the_first_one(runs: Runs) -> None:
    async with serving(held=True, pause=0.01) as application:
        limits = {"max_concurrency": 5}
        (first,) = runs.plan(application.url, questions(60), concurrency=20, endpoint=limits)
        (second,) = runs.plan(application.url, questions(240), concurrency=20, endpoint=limits)
        of_one_endpoint(runs)
        early = asyncio.create_task(runs.work(first))
        await until(lambda: application.in_flight == 5)
        late = asyncio.create_task(runs.work(second))
        # The first run has all of it: the second one waits, and the first lowers what it may have.
        await until(lambda: shares(runs) == [0, 5])
        # However often they look: what is asked already is asked.
        for _ in range(3):
            await looked_again(runs)
        assert (shares(runs), application.in_flight) == ([0, 5], 5)
        application.gate.set()
        await until(lambda: shares(runs) == [2, 3])
        await early
        application.gate.clear()
        await until(lambda: shares(runs) == [5] and application.in_flight == 5)
        application.gate.set()
        await late
    assert application.most_in_flight == 5
    assert sum(application.asked.values()) == 300


async def test_all_lanes_of_all_runs_are_counted(runs: Runs) -> None:
    async with serving(held=True, pause=0.01) as application:
        limits = {"max_concurrency": 7}
        lanes = runs.plan(application.url, questions(80), concurrency=10, lane_concurrency=3, endpoint=limits)
        lanes += runs.repeat(lanes[0].test_run_id, lane_concurrency=3)
        assert len(lanes) == 6
        work = [asyncio.create_task(runs.finish(lane)) for lane in lanes]
        await until(lambda: application.in_flight == 7 and len(shares(runs)) == 6)
        await looked_again(runs)
        application.gate.set()
        await asyncio.gather(*work)
    assert application.most_in_flight == 7
    assert Counter(application.asked.values()) == {2: 80}


async def test_what_a_lane_has_no_use_for_is_left_to_others(runs: Runs) -> None:
    async with serving(held=True) as application:
        limits = {"max_concurrency": 10}
        (small,) = runs.plan(application.url, questions(20), concurrency=2, endpoint=limits)
        (large,) = runs.plan(application.url, questions(40), concurrency=50, endpoint=limits)
        of_one_endpoint(runs)
        beside = asyncio.create_task(runs.work(small))
        await until(lambda: application.in_flight == 2)
        work = asyncio.create_task(runs.work(large))
        await until(lambda: application.in_flight == 10)
        assert shares(runs) == [2, 8]
        application.gate.set()
        await asyncio.gather(beside, work)
    assert application.most_in_flight == 10


async def test_the_share_of_a_dead_lane_is_taken_over_when_its_lease_ends(runs: Runs) -> None:
    async with serving(held=True) as application:
        (lane,) = runs.plan(application.url, questions(30), concurrency=20, endpoint={"max_concurrency": 5})
        add_user(runs, granted=4, seconds=1)
        began = monotonic()
        work = asyncio.create_task(runs.work(lane))
        await until(lambda: application.in_flight == 1)
        assert shares(runs) == [1, 4]
        await until(lambda: application.in_flight == 5)
        assert monotonic() - began > 0.9
        application.gate.set()
        await work
    assert application.most_in_flight == 5


async def test_runs_take_turns_where_an_endpoint_has_no_place_for_each(runs: Runs) -> None:
    async with serving(pause=0.02) as application:
        (first,) = runs.plan(application.url, questions(40), concurrency=4, endpoint={"max_concurrency": 1})
        (second,) = runs.repeat(first.test_run_id)
        await asyncio.gather(*(runs.finish(lane, lane_turn_seconds=0.2) for lane in (first, second)))
    assert application.most_in_flight == 1
    assert Counter(application.asked.values()) == {2: 40}
    # Both runs were at it long before one of them had all its answers.
    seen_twice = next(index for index, name in enumerate(application.order) if name in application.order[:index])
    assert seen_twice < 40


async def test_a_lane_that_finds_no_place_for_long_makes_way_for_other_tasks(runs: Runs) -> None:
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(3), endpoint={"max_concurrency": 1})
        add_user(runs, granted=1, seconds=60)
        assert await runs.work(lane, lane_turn_seconds=0.2) == SliceReport(SliceOutcome.CONTINUES)
        assert not application.asked
        assert runs.row("SELECT count(*) FROM test_result WHERE leased_by IS NOT NULL") == (0,)
        assert shares(runs) == [1]


async def test_a_cancelled_run_leaves_its_share_to_others(runs: Runs) -> None:
    async with serving(held=True) as application:
        (first,) = runs.plan(application.url, questions(10), endpoint={"max_concurrency": 5})
        (second,) = runs.repeat(first.test_run_id)
        cancelled = asyncio.create_task(runs.work(first))
        await until(lambda: application.in_flight == 5)
        working = asyncio.create_task(runs.work(second))
        await until(lambda: shares(runs) == [0, 5])
        runs.admin.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (first.test_run_id,))
        await cancelled
        await until(lambda: shares(runs) == [5])
        application.gate.set()
        await working
    assert application.most_in_flight == 5
    assert runs.status(second.test_run_id) == "completed"


async def test_an_endpoint_without_limits_costs_no_row(runs: Runs) -> None:
    async with serving() as application:
        (lane,) = runs.plan(application.url, questions(20))
        await runs.work(lane)
    assert runs.row("SELECT count(*) FROM endpoint_state") == (0,)
    assert shares(runs) == []


# ---------------------------------------------------------------- requests a second
async def test_two_runs_share_the_rate_of_an_endpoint(runs: Runs) -> None:
    rate, tests = 40, 40
    async with serving(pause=0.01) as application:
        limits = {"requests_per_second": rate}
        lanes = runs.plan(application.url, questions(tests), concurrency=10, lane_concurrency=5, endpoint=limits)
        lanes += runs.repeat(lanes[0].test_run_id, lane_concurrency=5)
        assert len(lanes) == 4
        await asyncio.gather(*map(runs.work, lanes))
    times = sorted(application.times)
    assert len(times) == 2 * tests
    # Were each run, or each lane, to keep the rate by itself, it would be half of that, or a quarter.
    assert times[-1] - times[0] >= (len(times) - 1) / rate - 0.25
    # Nor are there more in any half second, but for what a slow machine is late with.
    assert max(bisect_left(times, time + 0.5) - index for index, time in enumerate(times)) <= rate / 2 * 1.3


async def test_a_rate_is_no_reason_for_a_test_to_run_out_of_time(runs: Runs) -> None:
    async with serving() as application:
        limits = {"requests_per_second": 10}
        (lane,) = runs.plan(application.url, questions(12), concurrency=12, per_test_timeout=0.5, endpoint=limits)
        await runs.work(lane)
    assert set(runs.statuses(lane.test_run_id).values()) == {"pass"}


async def test_a_slice_ends_in_time_although_tests_wait_for_the_rate(runs: Runs) -> None:
    async with serving() as application:
        limits = {"requests_per_second": 2}
        (lane,) = runs.plan(application.url, questions(100), concurrency=50, endpoint=limits)
        report = await runs.work(lane, lane_slice_seconds=0.7)
    assert report.outcome is SliceOutcome.CONTINUES
    assert report.tests == len(application.times) <= 3
    assert runs.row("SELECT count(*) FROM test_result WHERE leased_by IS NOT NULL") == (0,)


# ---------------------------------------------------------------- holds
async def test_a_hold_that_one_run_is_asked_for_holds_the_others_back(runs: Runs) -> None:
    async with serving(pause=0.005) as application:
        (asked,) = runs.plan(application.url, [{"input": "busy 1.5", "expected": "busy 1.5"}])
        (other,) = runs.plan(application.url, questions(2000), concurrency=2)
        of_one_endpoint(runs)
        working = asyncio.create_task(runs.work(other))
        await application.reached.wait()
        await runs.work(asked)
        runs.admin.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (other.test_run_id,))
        await working
    first, second = (index for index, name in enumerate(application.order) if name.startswith("busy"))
    asked_at, times = application.times[first], application.times
    assert times[second] - asked_at > 1.4
    # Those who are told begin nothing more within two looks, and go on when the time is over.
    assert [time for time in times if asked_at + 0.5 < time < asked_at + 1.4] == []
    assert len(times) > second + 1


async def test_a_run_that_begins_during_a_hold_waits_it_out(runs: Runs) -> None:
    async with serving() as application:
        (asked,) = runs.plan(application.url, [{"input": "busy 1", "expected": "busy 1"}])
        (late,) = runs.plan(application.url, questions(1))
        of_one_endpoint(runs)
        holding = asyncio.create_task(runs.work(asked))
        await until(lambda: runs.row("SELECT count(*) FROM endpoint_state WHERE held_until > now()") == (1,))
        await asyncio.gather(holding, runs.work(late))
    assert len(application.times) == 3
    assert application.times[1] - application.times[0] > 0.9


async def test_others_wait_no_longer_than_the_longest_hold(runs: Runs) -> None:
    async with serving() as application:
        (lane,) = runs.plan(application.url, [{"input": "busy 1e300"}], per_test_timeout=5)
        await runs.work(lane, target_hold_max_seconds=30)
    assert runs.row("SELECT error->>'code' FROM test_result") == ("rate_limited",)
    (seconds,) = runs.row("SELECT extract(epoch FROM held_until - now())::float FROM endpoint_state")
    assert 20 < seconds <= 30


# ---------------------------------------------------------------- the circuit
def codes(runs: Runs, run: UUID) -> dict[str | None, int]:
    statement = "SELECT error->>'code', count(*) FROM test_result WHERE test_run_id = %s GROUP BY 1"
    return dict(runs.admin.execute(statement, (run,)).fetchall())


async def test_an_open_circuit_holds_for_other_runs_and_tells_them_why(runs: Runs) -> None:
    (first,) = runs.plan(DOWN, questions(20), endpoint={"max_attempts": 1, "max_concurrency": 1})
    (second,) = runs.repeat(first.test_run_id)
    await runs.work(first)
    await runs.work(second)
    assert codes(runs, first.test_run_id) == {"connect_failed": 3, "circuit_open": 17}
    assert codes(runs, second.test_run_id) == {"circuit_open": 20}
    messages = "SELECT count(DISTINCT error->>'message') FROM test_result WHERE error->>'code' = 'circuit_open'"
    assert runs.row(messages) == (1,)


async def test_a_run_that_is_under_way_learns_of_an_open_circuit(runs: Runs) -> None:
    (working,) = runs.plan(DOWN, questions(20), concurrency=1, endpoint={"max_attempts": 10})
    (failing,) = runs.plan(DOWN, questions(3), endpoint={"max_attempts": 1})
    of_one_endpoint(runs)
    work = asyncio.create_task(runs.work(working, target_backoff_seconds=0.5))
    await until(lambda: runs.row("SELECT count(*) > 0 FROM test_result WHERE leased_by IS NOT NULL")[0])
    await runs.work(failing)
    await work
    assert codes(runs, working.test_run_id) == {"connect_failed": 1, "circuit_open": 19}
    assert runs.row("SELECT max(attempts) < 10 FROM test_result") == (True,)


async def test_when_the_time_of_a_circuit_is_over_one_test_tries_for_all(runs: Runs) -> None:
    limits = {"max_attempts": 1}
    lanes = runs.plan(DOWN, questions(20), endpoint=limits, concurrency=1)
    await runs.work(lanes[0])
    again = [runs.repeat(lanes[0].test_run_id)[0] for _ in range(2)]
    runs.admin.execute("UPDATE endpoint_state SET circuit_open_until = now()")
    await asyncio.gather(*map(runs.work, again))
    found = Counter(codes(runs, again[0].test_run_id)) + Counter(codes(runs, again[1].test_run_id))
    assert found == {"connect_failed": 1, "circuit_open": 39}


async def test_an_endpoint_that_is_back_closes_its_circuit_and_no_test_is_lost(runs: Runs) -> None:
    (first,) = runs.plan(DOWN, questions(20), endpoint={"max_attempts": 1})
    await runs.work(first)
    async with serving(held=True) as application:
        point_at(runs, application.url)
        lanes = [runs.repeat(first.test_run_id)[0] for _ in range(2)]
        runs.admin.execute("UPDATE endpoint_state SET circuit_open_until = now()")
        work = [asyncio.create_task(runs.work(lane)) for lane in lanes]
        await application.reached.wait()
        await until(lambda: runs.row("SELECT circuit_tried_until > now() FROM endpoint_state")[0])
        assert application.in_flight == 1
        application.gate.set()
        await asyncio.gather(*work)
    assert [runs.status(lane.test_run_id) for lane in lanes] == ["completed", "completed"]
    assert runs.row("SELECT circuit_open_until, circuit_reason FROM endpoint_state") == (None, None)


async def test_a_test_that_tries_and_is_cancelled_leaves_it_to_another(runs: Runs) -> None:
    (first,) = runs.plan(DOWN, questions(10), endpoint={"max_attempts": 1})
    await runs.work(first)
    async with serving(held=True) as application:
        point_at(runs, application.url)
        cancelled, other = (runs.repeat(first.test_run_id)[0] for _ in range(2))
        runs.admin.execute("UPDATE endpoint_state SET circuit_open_until = now()")
        trying = asyncio.create_task(runs.work(cancelled))
        await application.reached.wait()
        runs.admin.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (cancelled.test_run_id,))
        await trying
        application.gate.set()
        await runs.work(other)
    assert runs.status(other.test_run_id) == "completed"


def point_at(runs: Runs, url: str) -> None:
    """Where the endpoint is from now on."""
    runs.admin.execute("UPDATE endpoint SET spec = spec || jsonb_build_object('url', %s::text)", (url,))
