"""Attempts under way, and results that wait to be recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from workerapp.settings import WorkerSettings
from workerapp.webhooks.attempt import Attempt, Claim, Outcome
from workerapp.webhooks.flights import BROKEN, Flights
from workerapp.webhooks.metrics import WebhookMetrics


def claim(*, slow: bool = False) -> Claim:
    return Claim(
        id=uuid4(),
        organization_id=uuid4(),
        webhook_endpoint_id=uuid4(),
        url="https://hooks.example.com/",
        sealed_secrets=b"",
        sealed_headers=None,
        event_type="test_run.completed",
        payload={},
        attempt=1,
        slow=slow,
        due_at=datetime.now(UTC),
    )


def flights(attempt: Callable[[Claim], Any], on_landing: Callable[[], None] = lambda: None) -> Flights:
    settings = WorkerSettings(database_url="postgresql://nowhere/db", webhook_concurrency=8).webhooks
    return Flights(attempt, settings, WebhookMetrics(CollectorRegistry()), on_landing)


async def deliver(claim: Claim) -> Attempt:
    return Attempt(claim=claim, outcome=Outcome.DELIVERED)


async def hang(_: Claim) -> Attempt:
    await asyncio.Event().wait()
    raise AssertionError


async def until_landed(under_way: Flights) -> None:
    while under_way:  # noqa: ASYNC110 - each turn lets them go on
        await asyncio.sleep(0)


async def test_what_is_under_way_takes_places_and_what_is_slow_takes_slow_ones() -> None:
    under_way = flights(hang)
    assert (under_way.places, under_way.slow_places) == (8, 2)
    under_way.begin([claim(), claim(slow=True), claim(slow=True), claim(slow=True)], monotonic() + 60)
    assert (under_way.places, under_way.slow_places) == (4, 0)
    assert len(await under_way.break_off()) == 4
    assert (under_way.places, under_way.slow_places, under_way.landed()) == (8, 2, [])


async def test_a_result_waits_until_it_is_recorded() -> None:
    landings: list[None] = []
    under_way = flights(deliver, lambda: landings.append(None))
    first, second = claim(), claim()
    under_way.begin([first], monotonic() + 60)
    await until_landed(under_way)
    recorded = under_way.landed()
    under_way.begin([second], monotonic() + 60)
    await until_landed(under_way)
    assert [attempt.claim for attempt in under_way.landed()] == [first, second]
    under_way.forget(recorded)
    assert [attempt.claim for attempt in under_way.landed()] == [second]
    assert len(landings) == 2


async def test_a_result_is_nobodys_when_its_claim_has_run_out() -> None:
    under_way = flights(deliver)
    kept = claim()
    under_way.begin([claim()], monotonic())
    under_way.begin([kept], monotonic() + 60)
    await until_landed(under_way)
    assert [attempt.claim for attempt in under_way.landed()] == [kept]


async def test_an_error_of_our_own_is_a_failed_attempt_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def stumble(_: Claim) -> Attempt:
        raise ZeroDivisionError

    under_way = flights(stumble)
    under_way.begin([claim()], monotonic() + 60)
    await until_landed(under_way)
    (attempt,) = under_way.landed()
    assert (attempt.outcome, attempt.error) == (Outcome.FAILED, BROKEN)
    assert [record.message for record in caplog.records] == ["webhook_attempt_broken"]
