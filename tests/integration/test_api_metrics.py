"""What a gateway tells Prometheus while it serves, streams, loses its connection and is drained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.database import make_engine
from gateway.pool import PoolCollector, timed_pool
from gateway.settings import load_gateway_settings
from tests.exposition import read
from tests.integration.streams import end_tail_connections, writer
from tests.integration.test_api_events import STREAM, Stream, client_of, finish, stream_of
from tests.integration.test_websocket import connected
from tests.postgres import TestDatabase
from tests.records import act_for, add_organization, connect, plan
from tests.rest import PATIENCE, Gateway, Tenant, gateway

Values = dict[str, float]


async def scrape(served: Gateway) -> Values:
    """As Prometheus does, without a key."""
    async with served.client() as client:
        response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(response.text)


async def scrape_until(served: Gateway, is_so: Callable[[Values], bool]) -> Values:
    async with asyncio.timeout(PATIENCE):
        while not is_so(values := await scrape(served)):  # noqa: ASYNC110 - nobody tells a scraper
            await asyncio.sleep(0.01)
    return values


async def test_streams_are_counted_while_they_are_open_and_when_they_have_ended(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    async with client_of(served, tenant) as client:
        async with client.stream("GET", task["links"]["events"]) as first, stream_of(client) as second:
            stream = Stream(first)
            assert await stream.next() is not None
            lines = second.aiter_lines()
            await anext(lines)
            values = await scrape_until(served, lambda values: values["gateway_subscriptions organization"] == 1)
            assert values["gateway_subscriptions subject"] == 1
            assert values["gateway_streams_open sse"] == 2
            finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
            assert await stream.rest() == ["task.started", "task.succeeded"]
        values = await scrape_until(served, lambda values: values["gateway_streams_open sse"] == 0)
    assert values["gateway_streams_ended_total sse terminal"] == 1
    assert values["gateway_streams_ended_total sse disconnected"] == 1
    assert values["gateway_stream_deliveries_total"] >= 3  # the first stream got two events, the second at least one
    assert values["gateway_tail_events_read_total"] == 3
    # Whether somebody had asked for the first one when it was read depends on who was quicker.
    assert 2 <= values["gateway_tail_events_published_total"] <= 3
    assert values["gateway_tail_lag_seconds_count"] >= 1


async def test_each_subscription_of_a_websocket_is_a_stream_with_an_end_of_its_own(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, tenant: Tenant
) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    async with connected(served, tenant) as socket:
        await socket.subscribe("all", "/v1/events")
        assert (await socket.next())["type"] == "event"
        await socket.subscribe("one", task["links"]["events"])
        assert (await socket.next())["type"] == "event"
        values = await scrape(served)
        assert values["gateway_websockets_open"] == 1
        assert values["gateway_streams_open websocket"] == 2
        await socket.send(type="unsubscribe", id="all")
        assert (await socket.next())["type"] == "unsubscribed"
        finish(database, tenant, task["task_id"], "STARTED", "SUCCESS")
        while (await socket.next())["type"] != "end":
            pass
        values = await scrape_until(served, lambda values: values["gateway_streams_open websocket"] == 0)
    assert values["gateway_streams_ended_total websocket disconnected"] == 1
    assert values["gateway_streams_ended_total websocket terminal"] == 1
    assert values["gateway_http_request_duration_seconds_count WEBSOCKET /v1/ws 101"] == 1
    await scrape_until(served, lambda values: values["gateway_websockets_open"] == 0)


async def test_streams_of_a_websocket_that_is_old_enough_end_for_that_reason(
    database: TestDatabase, tenant: Tenant
) -> None:
    async with gateway(database.url, stream={"max_age": 0.3}) as served:
        async with connected(served, tenant) as socket:
            await socket.subscribe("all", "/v1/events")
            await socket.until_closed()
        await scrape_until(served, lambda values: values["gateway_streams_ended_total websocket max_age"] == 1)


async def test_a_stream_that_lags_and_one_that_is_told_to_go_are_counted_as_such(
    served: Gateway, tenant: Tenant
) -> None:
    for end, reason in ((served.app.state.hub.lag, "lagged"), (served.app.state.hub.drain, "draining")):
        async with client_of(served, tenant) as client, stream_of(client) as response:
            lines = response.aiter_lines()
            while not (await anext(lines)).startswith("data:"):
                pass
            end()
            assert f"event: {reason}" in [line async for line in lines]
        assert (await scrape(served))[f"gateway_streams_ended_total sse {reason}"] == 1


async def test_a_stream_that_is_refused_for_want_of_room_is_counted(database: TestDatabase, tenant: Tenant) -> None:
    limit = {"stream": {"max_streams_per_organization": 1}}
    async with (
        gateway(database.url, **limit) as served,
        client_of(served, tenant) as client,
        stream_of(client) as first,
        served.client(tenant) as api,
    ):
        lines = first.aiter_lines()
        await anext(lines)
        assert (await api.get("/v1/events", headers=STREAM)).status_code == 429
        values = await scrape(served)
    assert values["gateway_streams_refused_total organization_full"] == 1
    assert values["gateway_streams_refused_total full"] == 0


async def test_the_tail_tells_that_it_reads_and_how_often_it_had_to_connect_again(
    served: Gateway, database: TestDatabase
) -> None:
    before = await scrape(served)
    assert before["gateway_tail_connected"] == 1
    assert before["gateway_tail_reconnects_total"] == 0
    async with writer(database) as ours:
        await end_tail_connections(ours)
    after = await scrape_until(served, lambda values: values["gateway_tail_reconnects_total"] >= 1)
    ready = await scrape_until(
        served,
        lambda values: (
            values["gateway_tail_connected"] == 1
            and values["gateway_tail_last_read_timestamp_seconds"] > after["gateway_tail_last_read_timestamp_seconds"]
        ),
    )
    assert ready["gateway_tail_last_read_timestamp_seconds"] > before["gateway_tail_last_read_timestamp_seconds"]


async def test_a_transaction_that_is_left_open_is_seen(served: Gateway, database: TestDatabase) -> None:
    async with writer(database, autocommit=False) as ours:
        await ours.submit()
        values = await scrape_until(served, lambda values: values["gateway_tail_horizon_age_seconds"] > 0.05)
        assert values["gateway_tail_horizon_transactions"] >= 1
    await scrape_until(served, lambda values: values["gateway_tail_horizon_transactions"] == 0)


async def test_requests_are_counted_by_route_and_nothing_names_a_tenant(served: Gateway, tenant: Tenant) -> None:
    async with served.client(tenant) as client:
        assert (await client.get("/v1/tasks/no-such-task")).status_code == 404
        assert (await client.get("/v1/nothing")).status_code == 404
        assert (await client.get("/v1/tasks/no-such-task/events")).status_code == 404
        text = (await client.get("/metrics")).text
    counts = "gateway_http_request_duration_seconds_count"
    assert f'{counts}{{method="GET",route="/v1/tasks/{{task_id}}",status="404"}} 1.0' in text
    assert f'{counts}{{method="GET",route="other",status="404"}} 1.0' in text
    for word in (str(tenant.organization_id), tenant.secret, "no-such-task", "nothing"):
        assert word not in text


async def test_a_stream_is_counted_as_answered_when_it_begins(served: Gateway, tenant: Tenant) -> None:
    async with client_of(served, tenant) as client, stream_of(client) as response:
        lines = response.aiter_lines()
        await anext(lines)
        assert (await scrape(served))["gateway_http_request_duration_seconds_count GET /v1/events 200"] == 1


async def test_metrics_can_be_told_to_nobody(database: TestDatabase) -> None:
    async with gateway(database.url, metrics=False) as served, served.client() as client:
        response = await client.get("/metrics")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_submissions_are_counted_by_task(api: httpx.AsyncClient, served: Gateway) -> None:
    for _ in range(2):
        assert (await api.post("/v1/tasks", json={"name": "echo"})).status_code == 202
    assert (await api.post("/v1/tasks", json={"name": "no such task"})).status_code == 422
    values = await scrape_until(served, lambda values: values["gateway_hints_total sent"] >= 1)
    assert {series: value for series, value in values.items() if series.startswith("gateway_submissions_total")} == {
        "gateway_submissions_total echo": 2
    }
    assert values["gateway_submission_duration_seconds_count"] == 2


async def test_connections_of_the_pool_are_counted_while_they_are_in_use(served: Gateway, tenant: Tenant) -> None:
    async with served.client(tenant) as client:
        await client.get("/v1/tasks")
    values = await scrape_until(served, lambda values: values["gateway_database_pool_connections in_use"] == 0)
    assert values["gateway_database_pool_connections idle"] >= 1
    assert values["gateway_database_pool_limit"] == served.settings.pool_size + served.settings.pool_overflow
    assert values["gateway_database_pool_wait_seconds_count"] >= 1


async def test_who_waits_for_a_connection_in_vain_has_waited_too(database: TestDatabase) -> None:
    settings = load_gateway_settings(
        database_url=database.url, pool_size=1, pool_overflow=0, pool_timeout_seconds=0.01, _env_file=None
    )
    waits: list[float] = []
    engine = make_engine(settings, timed_pool(waits.append))
    collector = PoolCollector()
    collector.watch(engine, 1)
    registry = CollectorRegistry()
    registry.register(collector)
    async with engine.connect():
        with pytest.raises(PoolTimeout):
            await engine.connect()
        assert read(generate_latest(registry).decode())["gateway_database_pool_connections in_use"] == 1
    assert len(waits) == 2
    await engine.dispose()


async def test_runs_that_end_are_counted_by_status(served: Gateway, database: TestDatabase) -> None:
    with connect(database.admin_url) as admin:
        run = plan(admin, add_organization(admin), tests=1)
        act_for(admin, run.organization_id)
        admin.execute("UPDATE test_run SET cancel_requested_at = now() WHERE id = %s", (run.id,))
        admin.execute("SELECT settle_run(%s)", (run.id,))
    values = await scrape_until(served, lambda values: values["gateway_runs_settled_total cancelled"] == 1)
    assert values["gateway_runs_settled_total completed"] == 0
