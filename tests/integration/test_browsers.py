"""What browsers are told: which pages may ask, what they may read, and what is never to be kept, framed or guessed."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

import aiohttp
import httpx
import pytest

from tests.integration.test_websocket import connected
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, gateway

PAGE = "https://app.example.com"
FOREIGN = "https://evil.example.com"
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
async def shared(database: TestDatabase) -> AsyncGenerator[Gateway]:
    """A gateway that one page of another origin may use."""
    async with gateway(database.url, cors_origins=PAGE) as running:
        yield running


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,idempotency-key",
    }


async def head_of_stream(served: Gateway, tenant: Tenant, origin: str) -> httpx.Headers:
    headers = STREAM | {"Origin": origin, "Authorization": f"Bearer {tenant.secret}"}
    async with (
        httpx.AsyncClient(base_url=served.url) as client,
        client.stream("GET", "/v1/events", headers=headers) as response,
    ):
        assert response.status_code == 200
        return response.headers


async def test_a_page_asks_before_it_asks(shared: Gateway) -> None:
    async with httpx.AsyncClient(base_url=shared.url) as browser:
        answer = await browser.options("/v1/tasks", headers=preflight(PAGE))
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "Origin"
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "idempotency-key", "last-event-id", "prefer", "if-none-match"} <= set(allowed)
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_of_another_origin_is_told_nothing(shared: Gateway, tenant: Tenant) -> None:
    async with httpx.AsyncClient(base_url=shared.url) as browser:
        asked = await browser.options("/v1/tasks", headers=preflight(FOREIGN))
        headers = {"Origin": FOREIGN, "Authorization": f"Bearer {tenant.secret}"}
        answer = await browser.get("/v1/tasks", headers=headers)
    assert (asked.status_code, asked.json()["code"]) == (405, "method_not_allowed")
    assert answer.status_code == 200
    for response in (asked, answer):
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert response.headers["vary"] == "Origin"


async def test_a_page_reads_answers_and_problems_and_streams(shared: Gateway, tenant: Tenant) -> None:
    async with shared.client(tenant) as browser:
        answer = await browser.get("/v1/tasks", headers={"Origin": PAGE})
        problem = await browser.get("/v1/tasks/none", headers={"Origin": PAGE})
        too_large = await browser.post("/v1/tasks", headers={"Origin": PAGE}, content=b"a" * 20_000_000)
    statuses = (answer.status_code, problem.status_code, too_large.status_code)
    assert statuses == (200, 404, 413)
    stream = await head_of_stream(shared, tenant, PAGE)
    for headers in (answer.headers, problem.headers, too_large.headers, stream):
        assert headers["access-control-allow-origin"] == PAGE
        assert "X-Request-Id" in headers["access-control-expose-headers"]
        assert "Origin" in headers["vary"]
    assert stream["vary"] == "Accept, Origin"


async def test_without_the_setting_there_is_no_sharing(served: Gateway, tenant: Tenant) -> None:
    async with httpx.AsyncClient(base_url=served.url) as browser:
        asked = await browser.options("/v1/tasks", headers=preflight(PAGE))
    stream = await head_of_stream(served, tenant, PAGE)
    assert asked.status_code == 405
    for headers in (asked.headers, stream):
        assert not [name for name in headers if name.startswith("access-control-")]


async def test_a_websocket_is_opened_by_pages_that_may_by_our_own_and_by_programs(
    shared: Gateway, tenant: Tenant
) -> None:
    for origin in (PAGE, shared.url, None):
        async with connected(shared, tenant, origin=origin) as socket:
            await socket.send(type="ping")
            assert await socket.next() == {"type": "pong"}
    for origin in (FOREIGN, "null", "http://[", f"{shared.url}.evil.example.com"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(shared, tenant, origin=origin):
                pass
        assert refused.value.status == 403


async def test_without_the_setting_a_websocket_is_opened_by_every_page_that_has_a_token(
    served: Gateway, tenant: Tenant
) -> None:
    async with connected(served, tenant, origin=FOREIGN) as socket:
        await socket.send(type="ping")
        assert await socket.next() == {"type": "pong"}


async def test_every_answer_is_kept_nowhere_framed_nowhere_and_what_it_says_it_is(
    served: Gateway, tenant: Tenant
) -> None:
    async with served.client(tenant) as api:
        answers = [await api.get(path) for path in ("/", "/healthz", "/v1/tasks", "/v1/nothing")]
        task = (await api.post("/v1/tasks", json={"name": "echo"})).json()["task_id"]
        answers.append(await api.get(f"/v1/tasks/{task}"))
    for headers in (*(answer.headers for answer in answers), await head_of_stream(served, tenant, PAGE)):
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers.get_list("cache-control") == ["no-store"]
        assert "strict-transport-security" not in headers


async def test_what_is_the_same_for_everybody_may_be_kept_and_is_asked_for_again(served: Gateway) -> None:
    async with served.client() as anybody:
        document = await anybody.get("/openapi.yaml")
        again = await anybody.get("/openapi.yaml", headers={"If-None-Match": document.headers["ETag"]})
    assert document.headers.get_list("cache-control") == ["no-cache"]
    assert again.status_code == 304


async def test_a_trusted_proxy_tells_the_client_and_that_it_came_over_tls(
    database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    told = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7", "X-Forwarded-Proto": "https"}
    async with gateway(database.url, hsts_seconds=86_400) as served, served.client() as proxy:
        with caplog.at_level(logging.INFO, logger="gateway.access"):
            plain = await proxy.get("/healthz")
            behind = await proxy.get("/healthz", headers=told)
    assert "strict-transport-security" not in plain.headers
    assert behind.headers["strict-transport-security"] == "max-age=86400"
    clients = [record.__dict__["client"] for record in caplog.records if record.name == "gateway.access"]
    assert clients[-2:] == ["127.0.0.1", "203.0.113.7"], "what the client says of itself counts for nothing"


async def test_nobody_else_is_believed(database: TestDatabase, caplog: pytest.LogCaptureFixture) -> None:
    told = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    settings = {"hsts_seconds": 60, "trusted_proxies": "10.0.0.0/8"}
    async with gateway(database.url, **settings) as served, served.client() as client:
        with caplog.at_level(logging.INFO, logger="gateway.access"):
            answer = await client.get("/healthz", headers=told)
    assert "strict-transport-security" not in answer.headers
    assert caplog.records[-1].__dict__["client"] == "127.0.0.1"


async def test_a_request_for_another_host_is_refused_and_probes_are_not(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, allowed_hosts="gateway.example.com") as served:
        async with served.client(tenant) as client:
            ours = await client.get("/v1/tasks", headers={"Host": "gateway.example.com"})
            other = await client.get("/v1/tasks", headers={"Host": "rebound.example.com"})
            probe = await client.get("/readyz")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(served, tenant):
                pass
    assert (ours.status_code, probe.status_code, refused.value.status) == (200, 200, 421)
    assert (other.status_code, other.json()["code"]) == (421, "host_refused")
    assert 'the host "rebound.example.com"' in other.json()["detail"]
