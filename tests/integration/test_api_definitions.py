"""Endpoints, test sets and configurations over REST: what is stored is what is answered, secrets excepted."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.definitions import ENDPOINT, TEST_SET, add_configuration, add_endpoint, add_test_set, created
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway
from workerapp.contract.endpoint_secrets import reveal_secrets
from workerapp.db.sealing import endpoint_place

KINDS = ("/v1/endpoints", "/v1/test-sets", "/v1/test-configurations")


async def test_an_endpoint_is_answered_with_its_defaults(api: httpx.AsyncClient) -> None:
    endpoint = await created(api, "/v1/endpoints", {"name": "app", "url": "https://app.example.com/"})
    assert (endpoint["method"], endpoint["timeout"], endpoint["response"]) == ("POST", 30.0, {"output": "$.output"})
    assert (await api.get(endpoint["links"]["self"])).json() == endpoint


async def test_header_values_are_sealed_and_never_answered(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase
) -> None:
    headers = {"Authorization": "Bearer hunter2", "X-Team": "hunter2"}
    response = await api.post("/v1/endpoints", json=ENDPOINT | {"headers": headers}, headers={"Idempotency-Key": "1"})
    endpoint = response.json()
    assert endpoint["headers"] == {"Authorization": "***", "X-Team": "***"}
    assert "hunter2" not in (await api.get(endpoint["links"]["self"])).text
    assert "hunter2" not in (await api.get("/v1/endpoints")).text
    with connect(database.admin_url) as admin:
        row = admin.execute("SELECT spec::text, sealed_headers, organization_id, id FROM endpoint").fetchone()
        keys = admin.execute("SELECT body::text || headers::text FROM idempotency_key").fetchone()
    assert row is not None
    assert keys is not None
    assert "hunter2" not in row[0] + keys[0]
    assert json.loads(served.settings.sealer.open(row[1], endpoint_place(*row[2:]))) == {
        "headers": headers,
        "auth": None,
    }


@pytest.mark.parametrize(
    ("auth", "secret"),
    [
        ({"type": "bearer", "token": "hunter2"}, "token"),
        ({"type": "api_key", "header": "X-Key", "value": "hunter2"}, "value"),
        (
            {
                "type": "oauth2_client_credentials",
                "token_url": "https://login.example.com/token",
                "client_id": "gateway",
                "client_secret": "hunter2",
                "client_auth": "body",
                "scope": "ask",
                "audience": None,
            },
            "client_secret",
        ),
    ],
)
async def test_secrets_of_authentication_are_sealed_and_never_answered(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase, auth: dict[str, Any], secret: str
) -> None:
    made = await api.post("/v1/endpoints", json=ENDPOINT | {"auth": auth}, headers={"Idempotency-Key": "1"})
    assert made.json()["auth"] == auth | {secret: "***"}
    assert "hunter2" not in made.text + (await api.get("/v1/endpoints")).text
    with connect(database.admin_url) as admin:
        row = admin.execute("SELECT spec::text, sealed_headers, spec, organization_id, id FROM endpoint").fetchone()
        keys = admin.execute("SELECT body::text || headers::text FROM idempotency_key").fetchone()
    assert row is not None
    assert keys is not None
    assert "hunter2" not in row[0] + keys[0]
    revealed = reveal_secrets(row[2], served.settings.sealer.open(row[1], endpoint_place(*row[3:])))
    assert revealed.model_dump()["auth"] == auth


async def test_a_token_url_is_as_restricted_as_the_endpoints_own(api: httpx.AsyncClient) -> None:
    auth = {
        "type": "oauth2_client_credentials",
        "token_url": "http://10.0.0.1/token",
        "client_id": "gateway",
        "client_secret": "hunter2",
    }
    problem = (await api.post("/v1/endpoints", json=ENDPOINT | {"auth": auth})).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("url_refused", "/auth/token_url")


def test_headers_that_were_sealed_alone_are_opened() -> None:
    stored = ENDPOINT | {"headers": {"X-Key": "***"}}
    assert reveal_secrets(stored, json.dumps({"X-Key": "hunter2"})).headers == {"X-Key": "hunter2"}


async def test_tests_keep_their_order_and_all_they_have(api: httpx.AsyncClient) -> None:
    tests: list[dict[str, Any]] = [{"input": f"question {number}", "expected": {"n": number}} for number in range(25)]
    tests[3] |= {"metadata": {"topic": "x"}, "assertions": [{"type": "contains", "value": "a", "not_": True}]}
    tests[4] = {"input": [{"role": "user", "content": "hi"}]}
    test_set = await created(api, "/v1/test-sets", {"name": "many", "metadata": {"v": 1}, "tests": tests})
    assert test_set["test_count"] == 25
    first = (await api.get(f"{test_set['links']['tests']}?limit=20")).json()
    second = (await api.get(test_set["links"]["tests"], params={"limit": 20, "cursor": first["next_cursor"]})).json()
    stored = first["items"] + second["items"]
    assert second["next_cursor"] is None
    assert [test["position"] for test in stored] == list(range(25))
    assert [(test["input"], test["expected"]) for test in stored] == [
        (test["input"], test.get("expected")) for test in tests
    ]
    assert stored[3]["metadata"] == {"topic": "x"}
    assert stored[3]["assertions"][0]["not_"] is True


async def test_a_configuration_is_answered_with_its_defaults(api: httpx.AsyncClient) -> None:
    made = await add_configuration(api, metrics=[{"type": "extract", "pattern": "A: (.*)", "compare": "number"}])
    configuration = (await api.get(f"/v1/test-configurations/{made.configuration_id}")).json()
    assert (configuration["mode"], configuration["concurrency"]) == ("parallel", 10)
    assert configuration["metrics"][0]["pattern"] == "A: (.*)"
    assert (configuration["endpoint_id"], configuration["test_set_id"]) == (made.endpoint_id, made.test_set_id)


async def test_a_schema_is_answered_as_it_was_written(api: httpx.AsyncClient) -> None:
    schema = {"type": "object", "required": ["answer"]}
    metrics = [{"type": "json_schema", "schema": schema, "not_": True}, {"type": "f1", "threshold": 0.5}]
    made = await add_configuration(api, metrics=metrics, pass_threshold=0.8)
    configuration = (await api.get(f"/v1/test-configurations/{made.configuration_id}")).json()
    assert configuration["metrics"][0]["schema"] == schema
    assert configuration["metrics"][1]["threshold_operator"] == ">="
    assert configuration["pass_threshold"] == 0.8


@pytest.mark.parametrize("path", KINDS)
async def test_lists_go_by_pages_the_newest_first(api: httpx.AsyncClient, path: str) -> None:
    made = [await add_configuration(api) for _ in range(3)]
    ids = {
        "/v1/endpoints": [one.endpoint_id for one in made],
        "/v1/test-sets": [one.test_set_id for one in made],
        "/v1/test-configurations": [one.configuration_id for one in made],
    }[path]
    first = (await api.get(path, params={"limit": 2})).json()
    second = (await api.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("path", KINDS)
async def test_an_archived_one_leaves_the_list_and_can_still_be_read(api: httpx.AsyncClient, path: str) -> None:
    made = await add_configuration(api)
    key = {"/v1/endpoints": made.endpoint_id, "/v1/test-sets": made.test_set_id}.get(path, made.configuration_id)
    assert (await api.delete(f"{path}/{key}")).status_code == 204
    archived_at = (await api.get(f"{path}/{key}")).json()["archived_at"]
    assert archived_at is not None
    assert (await api.get(path)).json()["items"] == []
    assert (await api.delete(f"{path}/{key}")).status_code == 204
    assert (await api.get(f"{path}/{key}")).json()["archived_at"] == archived_at
    execution = await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")
    assert (execution.status_code, execution.json()["code"]) == (409, "archived")


async def test_what_is_archived_cannot_be_configured(api: httpx.AsyncClient) -> None:
    endpoint_id, test_set_id = await add_endpoint(api), await add_test_set(api)
    await api.delete(f"/v1/endpoints/{endpoint_id}")
    body = {"name": "x", "endpoint_id": endpoint_id, "test_set_id": test_set_id}
    assert (await api.post("/v1/test-configurations", json=body)).json()["code"] == "archived"


async def test_a_test_set_that_is_refused_leaves_nothing(api: httpx.AsyncClient) -> None:
    tests = [{"input": "fine"}, {"input": "fine", "assertions": [{"type": "regex", "pattern": "("}]}]
    assert (await api.post("/v1/test-sets", json=TEST_SET | {"tests": tests})).status_code == 422
    assert (await api.get("/v1/test-sets")).json()["items"] == []
