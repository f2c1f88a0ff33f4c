"""Every kind of bad input gets a problem with a stable code and a sentence that helps, and no stack trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.definitions import ENDPOINT, TEST_SET, add_configuration, add_test_set
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, add_tenant, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN = "0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c22"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def database(module_database: TestDatabase) -> TestDatabase:
    return module_database


@pytest.fixture(scope="module")
def served(module_gateway: Gateway) -> Gateway:
    return module_gateway


@pytest.fixture(scope="module")
def tenant(database: TestDatabase) -> Tenant:
    return add_tenant(database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(served: Gateway, tenant: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client(tenant) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(database: TestDatabase) -> AsyncIterator[Gateway]:
    """A gateway with small limits."""
    async with gateway(database.url, max_body_bytes=2048, max_tests_per_request=3, max_page_size=10) as running:
        yield running


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem, if it is the one expected; its shape was checked against openapi.yaml on the way here."""
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return problem


def pointers(problem: dict[str, Any]) -> set[str]:
    return {fault["pointer"] for fault in problem["errors"]}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"name": ', "line 1 column 9"),
        (b"", "empty"),
        (b'{"name": NaN}', "line 1"),
        (b'{"name": "\xff"}', "unicode"),
        (b'{"name": "\\ud800"}', "hex escape"),
        (b'{"name": ' + b"[" * 500 + b"]" * 500 + b"}", "recursion"),
        (b'{"name": "echo"} {}', "trailing"),
    ],
)
async def test_malformed_json_says_where(api: httpx.AsyncClient, body: bytes, says: str) -> None:
    problem = refused(await api.post("/v1/tasks", content=body, headers=JSON), 400, "malformed_json")
    assert says in problem["detail"]


async def test_unknown_fields_are_refused_by_name(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/endpoints", json=ENDPOINT | {"urll": "x"})
    problem = refused(response, 422, "validation_failed")
    assert problem["errors"] == [{"pointer": "/urll", "detail": "There is no such field."}]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/tasks", {"name": 5}, "/name"),
        ("/v1/tasks", {"name": "echo", "args": "x"}, "/args"),
        ("/v1/tasks", {}, "/name"),
        ("/v1/tasks", [], ""),
        ("/v1/endpoints", ENDPOINT | {"timeout": "30"}, "/timeout"),
        ("/v1/endpoints", ENDPOINT | {"name": ""}, "/name"),
        ("/v1/endpoints", ENDPOINT | {"name": "a\0b"}, "/name"),
        ("/v1/endpoints", ENDPOINT | {"headers": {"Host": "x"}}, "/headers"),
        ("/v1/test-sets", TEST_SET | {"tests": [{"input": "a"}, {"input": 5}]}, "/tests/1/input"),
        ("/v1/test-sets", TEST_SET | {"tests": [{"expected": "a"}]}, "/tests/0"),
        ("/v1/test-sets", TEST_SET | {"tests": [{"input": "a", "turns": [{"input": "b"}]}]}, "/tests/0"),
        ("/v1/test-sets", TEST_SET | {"tests": [{"turns": []}]}, "/tests/0/turns"),
        ("/v1/test-sets", TEST_SET | {"tests": [{"turns": [{"input": "a"}, {}]}]}, "/tests/0/turns/1/input"),
        (
            "/v1/test-sets",
            TEST_SET | {"tests": [{"input": "a", "assertions": [{"type": "x"}]}]},
            "/tests/0/assertions/0",
        ),
        ("/v1/test-configurations", {"name": "x", "endpoint_id": "y", "test_set_id": UNKNOWN}, "/endpoint_id"),
    ],
)
async def test_wrong_types_are_pointed_at(api: httpx.AsyncClient, path: str, body: Any, pointer: str) -> None:
    assert pointer in pointers(refused(await api.post(path, json=body), 422, "validation_failed"))


async def test_a_number_nobody_can_store_is_pointed_at(api: httpx.AsyncClient) -> None:
    body = b'{"name": "echo", "args": [1, 1e999]}'
    problem = refused(await api.post("/v1/tasks", content=body, headers=JSON), 422, "validation_failed")
    assert pointers(problem) == {"/args/1"}


async def test_a_backslash_before_u0000_is_ordinary_text(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/tasks", json={"name": "echo", "args": ["\\u0000"]})
    assert response.status_code == 202


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_other_content_types_are_refused(api: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await api.post("/v1/tasks", content=b'{"name": "echo"}', headers=headers)
    assert "application/json" in refused(response, 415, "unsupported_media_type")["detail"]


async def test_a_body_over_the_limit_is_refused(small: Gateway, tenant: Tenant) -> None:
    async with small.client(tenant) as client:
        response = await client.post("/v1/tasks", content=b" " * 2049, headers=JSON)
        assert "2048 bytes" in refused(response, 413, "body_too_large")["detail"]
        assert (await client.get("/v1/tasks")).status_code == 200


async def test_a_chunked_body_over_the_limit_is_refused(small: Gateway, tenant: Tenant) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    async with small.client(tenant) as client:
        refused(await client.post("/v1/tasks", content=chunks(), headers=JSON), 413, "body_too_large")


async def test_an_empty_test_set_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/test-sets", json=TEST_SET | {"tests": []})
    assert pointers(refused(response, 422, "empty_test_set")) == {"/tests"}


async def test_more_tests_than_the_limit_are_refused(small: Gateway, tenant: Tenant) -> None:
    async with small.client(tenant) as client:
        response = await client.post("/v1/test-sets", json=TEST_SET | {"tests": [{"input": "x"}] * 4})
        assert "at most 3" in refused(response, 422, "too_many_tests")["detail"]


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8000/", "http://localhost/", "http://10.1.2.3/", "http://169.254.169.254/latest"),
        *("http://[::1]/", "http://2130706433/", "ftp://example.com/", "not a url", "http://user:pw@example.com/"),
    ],
)
async def test_a_refused_url_is_named(api: httpx.AsyncClient, url: str) -> None:
    assert pointers(refused(await api.post("/v1/endpoints", json=ENDPOINT | {"url": url}), 422, "url_refused")) == {
        "/url"
    }


async def test_an_allowed_network_may_be_called(database: TestDatabase, tenant: Tenant) -> None:
    async with (
        gateway(database.url, outbound_allow="127.0.0.0/8,::1") as open_gateway,
        open_gateway.client(tenant) as client,
    ):
        response = await client.post("/v1/endpoints", json=ENDPOINT | {"url": "http://127.0.0.1:8000/"})
        assert response.status_code == 201


async def test_a_template_that_does_not_compile_is_pointed_at(api: httpx.AsyncClient) -> None:
    request = {"messages": [{"content": "{{ input"}]}
    response = await api.post("/v1/endpoints", json=ENDPOINT | {"request": request})
    assert pointers(refused(response, 422, "template_invalid")) == {"/request/messages/0/content"}


async def test_a_json_path_that_does_not_compile_is_pointed_at(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/endpoints", json=ENDPOINT | {"response": {"output": "$.choices["}})
    assert pointers(refused(response, 422, "mapping_invalid")) == {"/response/output"}


async def test_a_pattern_that_does_not_compile_is_pointed_at(api: httpx.AsyncClient) -> None:
    test = {"input": "x", "assertions": [{"type": "regex", "pattern": "("}]}
    response = await api.post("/v1/test-sets", json=TEST_SET | {"tests": [test]})
    assert pointers(refused(response, 422, "pattern_invalid")) == {"/tests/0/assertions/0/pattern"}


async def test_headers_need_a_key_to_be_sealed_with(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, secret_keys=()) as keyless, keyless.client(tenant) as client:
        response = await client.post("/v1/endpoints", json=ENDPOINT | {"headers": {"X-Key": "secret"}})
        assert "GATEWAY_SECRET_KEYS" in refused(response, 422, "secrets_unavailable")["detail"]
        assert (await client.post("/v1/endpoints", json=ENDPOINT)).status_code == 201


async def test_a_task_outside_the_allow_list_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/tasks", json={"name": "execute_test_configuration"})
    assert "echo" in refused(response, 422, "task_not_allowed")["detail"]


async def test_a_queue_outside_the_list_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/tasks", json={"name": "echo", "queue": "celery@host.celery.pidbox"})
    refused(response, 422, "queue_not_allowed")


@pytest.mark.parametrize("name", ["organization_id", "user_id"])
async def test_a_caller_cannot_name_another_tenant_in_the_arguments(api: httpx.AsyncClient, name: str) -> None:
    response = await api.post("/v1/tasks", json={"name": "echo", "kwargs": {name: UNKNOWN}})
    assert pointers(refused(response, 422, "validation_failed")) == {f"/kwargs/{name}"}


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/endpoints/x", f"/v1/endpoints/{UNKNOWN}", "/v1/test-sets/1", "/v1/test-configurations/None"),
        *("/v1/test-runs/x", "/v1/test-runs/x/results", "/v1/test-runs/x/events", f"/v1/test-runs/{UNKNOWN}/events"),
        *("/v1/tasks/x", "/v1/tasks/%00", "/v1/tasks/" + "x" * 300, "/v1/tasks/x/events", "/v1/nothing", "/v1/tasks/"),
    ],
)
async def test_ids_that_name_nothing_are_not_found(api: httpx.AsyncClient, path: str) -> None:
    refused(await api.get(path), 404, "not_found")


async def test_methods_that_do_not_exist_are_named_with_those_that_do(api: httpx.AsyncClient) -> None:
    response = await api.put("/v1/tasks", json={})
    refused(response, 405, "method_not_allowed")
    assert {method.strip() for method in response.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=501", "limit"),
        ("cursor=!", "cursor"),
        ("cursor=eA", "cursor"),
        ("limmit=1", "limmit"),
        ("limit=1&limit=2", "limit"),
        ("status=%00", "status"),
    ],
)
async def test_wrong_parameters_are_named(api: httpx.AsyncClient, query: str, parameter: str) -> None:
    problem = refused(await api.get(f"/v1/tasks?{query}"), 422, "validation_failed")
    assert {fault["parameter"] for fault in problem["errors"]} == {parameter}


@pytest.mark.parametrize("path", ["/v1/test-sets/{}/tests", "/v1/test-sets/{}/export"])
async def test_a_nul_in_a_parameter_is_refused_before_anything_is_answered(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path.format(await add_test_set(api)), params={"tag": "a\0"})
    problem = refused(answer, 422, "validation_failed")
    assert problem["errors"][0]["parameter"] == "tag"


@pytest.mark.parametrize("query", ["status=passed", "status=", "cursor=OTk5OTk5OTk5OTk5OTk", "status=pass,x"])
async def test_wrong_parameters_of_results_are_refused(api: httpx.AsyncClient, query: str) -> None:
    run = await api.post(f"/v1/test-configurations/{(await add_configuration(api)).configuration_id}/execute")
    refused(await api.get(f"{run.headers['location']}/results?{query}"), 422, "validation_failed")


async def test_a_wrong_stream_cursor_is_refused(api: httpx.AsyncClient) -> None:
    task = await api.post("/v1/tasks", json={"name": "echo"})
    events = task.json()["links"]["events"]
    refused(await api.get(events, headers={"Last-Event-ID": "one"}), 422, "validation_failed")
    refused(await api.get(f"{events}?after=-1"), 422, "validation_failed")


async def test_a_missing_key_is_asked_for(served: Gateway) -> None:
    async with served.client() as client:
        response = await client.get("/v1/tasks")
        refused(response, 401, "key_missing")
        assert response.headers["www-authenticate"] == "Bearer"
        refused(await client.get("/v1/tasks", headers={"Authorization": "Basic eDp5"}), 401, "key_missing")


@pytest.mark.parametrize("key", ["tsg_wrong", "x" * 40, "tsg_" + "x" * 5000])
async def test_a_wrong_key_is_refused(served: Gateway, key: str) -> None:
    async with served.client() as client:
        response = await client.get("/v1/tasks", headers={"Authorization": f"Bearer {key}"})
        refused(response, 401, "key_invalid")
