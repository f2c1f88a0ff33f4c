"""The dispatcher, on a real database and with real receivers: nothing is lost, and nobody waits for a dead receiver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from tests.integration.streams import eventually
from tests.postgres import PostgresServer, TestDatabase
from tests.records import add_organization, connect, plan
from tests.stack.services import SECRET_KEY
from tests.webhooks import (
    RETRY_AFTER,
    Receiver,
    Subscription,
    attempts,
    deliveries,
    pass_time,
    queue,
    receiving,
    subscribe,
    verify,
)
from workerapp.contract.events import EVENT_CHANNEL
from workerapp.settings import WorkerSettings
from workerapp.webhooks import dispatch as module
from workerapp.webhooks.dispatch import Dispatch
from workerapp.webhooks.metrics import WebhookMetrics
from workerapp.webhooks.sender import UNSEALED

DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """An organization, its receiver, and the database."""

    database: TestDatabase
    admin: psycopg.Connection
    organization_id: UUID
    receiver: Receiver

    def subscribe(self, path: str, **columns: Any) -> Subscription:
        return subscribe(self.admin, self.organization_id, self.receiver.url + path, **columns)


@pytest.fixture
async def stage(database: TestDatabase) -> AsyncIterator[Stage]:
    with connect(database.admin_url) as admin:
        async with receiving() as receiver:
            organization_id = add_organization(admin)
            yield Stage(database=database, admin=admin, organization_id=organization_id, receiver=receiver)


def make_dispatch(database: TestDatabase, registry: CollectorRegistry | None = None, **values: Any) -> Dispatch:
    settings: dict[str, Any] = {"secret_keys": (SECRET_KEY,), "outbound_allow": "127.0.0.0/8", "polling_interval": 0.1}
    return Dispatch(
        WorkerSettings(database_url=database.url, **(settings | values)),
        WebhookMetrics(registry or CollectorRegistry()),
    )


@asynccontextmanager
async def dispatching(database: TestDatabase, **values: Any) -> AsyncIterator[Dispatch]:
    dispatch = make_dispatch(database, **values)
    running = asyncio.create_task(dispatch.run())
    try:
        yield dispatch
    finally:
        dispatch.stop()
        await running


def ended(admin: psycopg.Connection, status: str = "delivered") -> Callable[[], bool]:
    return lambda: {delivery["status"] for delivery in deliveries(admin)} == {status}


def attempted(admin: psycopg.Connection, times: int) -> Callable[[], bool]:
    return lambda: len(attempts(admin)) >= times


@contextmanager
def gate(receiver: Receiver, name: str = "gate") -> Iterator[asyncio.Event]:
    """A path that answers when it is opened."""
    opened = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await opened.wait()
        return web.Response(status=204)

    receiver.answers[name] = wait
    yield opened
    opened.set()


# ---------------------------------------------------------------- attempts and what becomes of them
async def test_a_run_that_ends_is_told_to_its_receiver(stage: Stage) -> None:
    subscription = stage.subscribe("/ok")
    run = plan(stage.admin, stage.organization_id, 0)
    async with dispatching(stage.database):
        stage.admin.execute("SELECT settle_run(%s)", (run.id,))
        await eventually(ended(stage.admin))
    (request,) = stage.receiver.received
    verify(request, subscription.secret)
    (delivery,), (attempt,) = deliveries(stage.admin), attempts(stage.admin)
    assert request.id == str(delivery["id"])
    assert request.payload == delivery["payload"]
    assert request.payload["data"]["test_run_id"] == str(run.id)
    assert (delivery["attempts"], delivery["http_status"], delivery["error"]) == (1, 200, None)
    assert (attempt["number"], attempt["http_status"], attempt["error"]) == (1, 200, None)
    assert attempt["response_excerpt"] == '{"ok": true}'
    assert attempt["duration_ms"] > 0


async def test_a_callback_is_sent_to_its_whole_address(stage: Stage) -> None:
    callback = stage.subscribe("", kind="callback", event_types=[])
    url = f"{stage.receiver.url}/ok/ci?build=7"
    run = plan(stage.admin, stage.organization_id, 0, callback_endpoint_id=callback.id, callback_url=url)
    async with dispatching(stage.database):
        stage.admin.execute("SELECT settle_run(%s)", (run.id,))
        await eventually(ended(stage.admin))
    (request,) = stage.receiver.received
    verify(request, callback.secret)
    assert request.path == "/ok/ci?build=7"


@pytest.mark.parametrize(
    ("path", "status", "http_status", "error"),
    [
        ("fail", "pending", 500, "the receiver answered HTTP 500"),
        ("busy", "pending", 429, "the receiver answered HTTP 429"),
        ("gone", "exhausted", 410, "the receiver answered HTTP 410: it wants no more"),
        ("moved", "pending", 302, "the receiver answered HTTP 302; redirects are not followed"),
        ("hang", "pending", None, "gave no complete answer within 0.5 seconds"),
        ("slow-head", "pending", None, "gave no complete answer within 0.5 seconds"),
        ("reset", "pending", None, "ended before the answer was complete"),
        ("slow-body", "delivered", 200, None),
        ("endless", "delivered", 200, None),
    ],
)
async def test_each_attempt_is_logged_and_decides_what_comes_next(
    path: str,
    status: str,
    http_status: int | None,
    error: str | None,
    stage: Stage,
) -> None:
    queue(stage.admin, stage.subscribe(f"/{path}"))
    # On a busy machine the head of an answer may take a while, and without one there is none.
    seconds = 0.5 if error is not None else 2.0
    async with dispatching(stage.database, webhook_timeout_seconds=seconds):
        await eventually(attempted(stage.admin, 1))
    (delivery,), (attempt,) = deliveries(stage.admin), attempts(stage.admin)
    assert (delivery["status"], delivery["http_status"], attempt["http_status"]) == (status, http_status, http_status)
    assert delivery["error"] == attempt["error"]
    assert (error or "") in str(attempt["error"] or "")
    assert (attempt["error"] is None) is (error is None)
    assert [request.path for request in stage.receiver.received] == [f"/{path}"]
    wait = None if delivery["next_attempt_at"] is None else delivery["next_attempt_at"] - attempt["at"]
    if path == "busy":
        assert wait == timedelta(seconds=RETRY_AFTER)
    elif status == "pending":
        assert wait is not None
        assert timedelta(seconds=4.5) <= wait <= timedelta(seconds=5.5)
    else:
        assert wait is None


async def test_what_fails_is_tried_by_the_schedule_until_it_is_exhausted(stage: Stage) -> None:
    subscription = stage.subscribe("/fail")
    (delivery_id,) = queue(stage.admin, subscription)
    delays = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    waits = []
    async with dispatching(stage.database):
        for number, delay in enumerate(delays, start=1):
            await eventually(attempted(stage.admin, number))
            (delivery,) = deliveries(stage.admin)
            waits.append((delivery["next_attempt_at"] - attempts(stage.admin)[-1]["at"]).total_seconds() / delay)
            pass_time(stage.admin, timedelta(seconds=delay * 1.1))
        await eventually(ended(stage.admin, "exhausted"))
    assert all(0.9 <= wait <= 1.1 for wait in waits)
    assert len(set(waits)) > 1
    assert [attempt["number"] for attempt in attempts(stage.admin)] == list(range(1, 11))
    assert {request.id for request in stage.receiver.received} == {delivery_id}
    assert len({request.body for request in stage.receiver.received}) == 1
    assert len(stage.receiver.received) == 10
    for request in stage.receiver.received:
        verify(request, subscription.secret)


async def test_what_succeeds_at_a_later_attempt_is_delivered_under_the_same_id(stage: Stage) -> None:
    (delivery_id,) = queue(stage.admin, stage.subscribe("/fail"))
    async with dispatching(stage.database):
        await eventually(attempted(stage.admin, 1))
        stage.receiver.answers["fail"] = stage.receiver.answers["ok"]
        pass_time(stage.admin, timedelta(seconds=6))
        await eventually(ended(stage.admin))
    assert [request.id for request in stage.receiver.received] == [delivery_id] * 2
    assert [(attempt["number"], attempt["http_status"]) for attempt in attempts(stage.admin)] == [(1, 500), (2, 200)]


async def test_days_of_failure_disable_an_endpoint_and_the_others_are_told(stage: Stage) -> None:
    failing = stage.subscribe("/fail")
    stage.subscribe("/ok", event_types=["webhook_endpoint.disabled"])
    queue(stage.admin, failing, 2)
    async with dispatching(stage.database, webhook_disable_after_hours=48):
        await eventually(attempted(stage.admin, 1))
        pass_time(stage.admin, 3 * DAY)
        await eventually(lambda: stage.receiver.at("/ok"))
        await eventually(lambda: {one["status"] for one in deliveries(stage.admin)} == {"skipped", "delivered"})
    data = stage.receiver.at("/ok")[0].payload["data"]
    assert (data["webhook_endpoint_id"], data["reason"]) == (str(failing.id), "failing")


async def test_secrets_that_do_not_open_are_a_failure_with_the_reason(stage: Stage) -> None:
    queue(stage.admin, stage.subscribe("/ok", sealed_secrets=b"\x01other"))
    async with dispatching(stage.database):
        await eventually(attempted(stage.admin, 1))
    assert [(one["error"], one["http_status"]) for one in attempts(stage.admin)] == [(UNSEALED, None)]
    assert stage.receiver.received == []


async def test_what_becomes_of_deliveries_is_logged_without_their_urls(
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    paths = {"ok": "webhook_delivered", "fail": "webhook_failed", "gone": "webhook_exhausted"}
    for path in paths:
        queue(stage.admin, stage.subscribe(f"/{path}/s3cret"))
    with caplog.at_level(logging.DEBUG, logger="workerapp.webhooks"):
        async with dispatching(stage.database):
            await eventually(attempted(stage.admin, 3))
    told = {(record.levelname, record.message) for record in caplog.records}
    assert told == {
        ("DEBUG", "webhook_delivered"),
        ("INFO", "webhook_failed"),
        ("WARNING", "webhook_exhausted"),
        ("WARNING", "webhook_endpoint_disabled"),
    }
    ids = {str(delivery["id"]) for delivery in deliveries(stage.admin)}
    for record in caplog.records:
        fields = vars(record)
        assert fields["organization_id"] == str(stage.organization_id)
        assert fields["delivery_id"] in ids
        assert fields["host"] == "127.0.0.1"
        assert "s3cret" not in str(fields)


async def test_attempts_are_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("ok", "fail", "gone"):
        queue(stage.admin, stage.subscribe(f"/{path}"))
    registry = CollectorRegistry()
    monkeypatch.setattr(module, "BACKLOG_PAUSE", 0.0)
    async with dispatching(stage.database, registry=registry, worker_metrics_port=1):
        await eventually(attempted(stage.admin, 3))
        await eventually(lambda: registry.get_sample_value("gateway_webhook_pending") == 1)
    counted = {
        outcome: registry.get_sample_value("gateway_webhook_attempts_total", {"outcome": outcome})
        for outcome in ("delivered", "failed", "gone")
    }
    assert counted == {"delivered": 1, "failed": 1, "gone": 1}
    assert registry.get_sample_value("gateway_webhook_attempt_duration_seconds_count") == 3
    assert registry.get_sample_value("gateway_webhook_delay_seconds_count") == 3
    assert registry.get_sample_value("gateway_webhook_attempts_in_flight") == 0


# ---------------------------------------------------------------- places
async def test_endpoints_that_are_slow_or_failing_have_a_quarter_of_the_places(stage: Stage) -> None:
    for _ in range(10):
        queue(stage.admin, stage.subscribe("/hang", quick=False), 5)
    for number in range(10):
        queue(stage.admin, stage.subscribe(f"/ok/{number}"), 5)
    with monkeypatched_grace():
        async with dispatching(stage.database, webhook_concurrency=8, webhook_timeout_seconds=300):
            await eventually(lambda: sum(one.path != "/hang" for one in stage.receiver.received) == 50)
            await eventually(lambda: stage.receiver.under_way.get("/hang") == 2)
    assert stage.receiver.most_under_way["/hang"] == 2


async def test_a_dead_receiver_of_which_nothing_is_known_holds_one_place_however_much_waits_for_it(
    stage: Stage,
) -> None:
    queue(stage.admin, stage.subscribe("/hang"), 50)
    queue(stage.admin, stage.subscribe("/ok"), 20)
    with monkeypatched_grace():
        async with dispatching(stage.database, webhook_concurrency=2, webhook_timeout_seconds=300):
            await eventually(lambda: len(stage.receiver.at("/ok")) == 20)
    assert stage.receiver.most_under_way["/hang"] == 1


async def test_a_good_receiver_gets_more_at_once_and_never_more_than_the_most(stage: Stage) -> None:
    subscription = stage.subscribe("/ok")
    queue(stage.admin, subscription, 40)
    async with dispatching(stage.database, webhook_endpoint_places=4):
        await eventually(ended(stage.admin))
    assert stage.receiver.most_under_way["/ok"] <= 4
    assert stage.admin.execute("SELECT places FROM webhook_endpoint").fetchall() == [(4,)]


async def test_an_endpoint_with_a_rate_gets_no_more(stage: Stage) -> None:
    queue(stage.admin, stage.subscribe("/ok", rate_per_second=0.01), 3)
    async with dispatching(stage.database) as dispatch:
        for times in (1, 2):
            await eventually(attempted(stage.admin, times))
            await looked_again(dispatch)
            assert len(stage.receiver.received) == times
            pass_time(stage.admin, timedelta(seconds=101))
        await eventually(ended(stage.admin))


async def looked_again(dispatch: Dispatch) -> None:
    """It has looked for deliveries since."""
    seen = dispatch._looks._looked_at
    await eventually(lambda: dispatch._looks._looked_at > seen)


async def test_two_dispatchers_share_the_work_and_send_nothing_twice(stage: Stage) -> None:
    ids = []
    for number in range(6):
        ids += queue(stage.admin, stage.subscribe(f"/ok/{number}"), 20)
    async with dispatching(stage.database), dispatching(stage.database):
        await eventually(ended(stage.admin))
    assert sorted(request.id for request in stage.receiver.received) == sorted(ids)


# ---------------------------------------------------------------- hints, interruptions and the end
async def test_a_hint_is_enough_however_rarely_it_looks(stage: Stage) -> None:
    subscription = stage.subscribe("/ok")
    async with dispatching(stage.database, polling_interval=60) as dispatch:
        for times in (1, 2):
            await looked_again(dispatch)
            dispatch._looks._pause = 3600.0
            queue(stage.admin, subscription)
            stage.admin.execute("SELECT pg_notify(%s, '')", (EVENT_CHANNEL,))
            await eventually(lambda times=times: len(stage.receiver.received) == times)
            if times == 1:
                await hearing_anew(stage.admin)


async def hearing_anew(admin: psycopg.Connection) -> None:
    """The connection that hears hints is cut, and there is another one."""
    listening = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'gateway-listen' AND datname = current_database()"
    )
    before = admin.execute(listening).fetchall()
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", before[0])
    await eventually(lambda: set(admin.execute(listening).fetchall()) - set(before))


async def test_an_attempt_whose_worker_is_killed_counts_and_is_made_again(stage: Stage) -> None:
    (delivery_id,) = queue(stage.admin, stage.subscribe("/gate"))
    with gate(stage.receiver):
        killed = asyncio.create_task(make_dispatch(stage.database).run())
        await eventually(lambda: len(stage.receiver.received) == 1)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    assert deliveries(stage.admin)[0]["leased_by"] is not None
    async with dispatching(stage.database) as dispatch:
        await looked_again(dispatch)
        assert len(stage.receiver.received) == 1
        pass_time(stage.admin, timedelta(seconds=46))
        await eventually(ended(stage.admin))
    assert [request.id for request in stage.receiver.received] == [delivery_id] * 2
    log = [(attempt["number"], attempt["http_status"], attempt["error"]) for attempt in attempts(stage.admin)]
    assert log == [(1, None, "interrupted"), (2, 204, None)]


async def test_attempts_that_end_soon_after_the_stop_are_recorded(stage: Stage) -> None:
    subscription = stage.subscribe("/gate")
    queue(stage.admin, subscription, 2)
    dispatch = make_dispatch(stage.database)
    running = asyncio.create_task(dispatch.run())
    with gate(stage.receiver) as opened:
        await eventually(lambda: len(stage.receiver.received) == 1)
        dispatch.stop()
        opened.set()
        await running
    assert sorted((one["status"], one["attempts"]) for one in deliveries(stage.admin)) == [
        ("delivered", 1),
        ("pending", 0),
    ]


async def test_attempts_that_go_on_after_the_stop_are_given_back_and_do_not_count(stage: Stage) -> None:
    queue(stage.admin, stage.subscribe("/hang"))
    with monkeypatched_grace():
        async with dispatching(stage.database):
            await eventually(lambda: len(stage.receiver.received) == 1)
    (delivery,) = deliveries(stage.admin)
    assert (delivery["status"], delivery["attempts"], delivery["leased_by"]) == ("pending", 0, None)
    assert attempts(stage.admin) == []


async def test_results_are_recorded_when_the_database_is_back(
    postgres: PostgresServer,
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue(stage.admin, stage.subscribe("/gate"))
    async with dispatching(stage.database) as dispatch:
        with gate(stage.receiver) as opened:
            await eventually(lambda: len(stage.receiver.received) == 1)
            with away(postgres, stage.database):
                await eventually(lambda: dispatch._is_failing)
                opened.set()
                await eventually(dispatch._flights.landed)
                assert [one["status"] for one in deliveries(stage.admin)] == ["pending"]
            await eventually(ended(stage.admin))
    assert len(stage.receiver.received) == 1
    assert [(one["number"], one["http_status"]) for one in attempts(stage.admin)] == [(1, 204)]
    told = [record.levelname for record in caplog.records if record.message == "webhooks_interrupted"]
    assert told == ["WARNING"]


@contextmanager
def away(postgres: PostgresServer, database: TestDatabase) -> Iterator[None]:
    """No connection is to be had, but for the administrator's that is there already."""
    name = database.url.rpartition("/")[2].partition("?")[0]
    with postgres.connect() as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        try:
            server.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name IN ('webhooks', 'gateway-listen')",
                (name,),
            )
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


@contextmanager
def monkeypatched_grace() -> Iterator[None]:
    """Stop without waiting for attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GRACE", 0.0)
        yield
