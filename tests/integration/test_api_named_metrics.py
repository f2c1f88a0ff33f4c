"""Named metrics over REST, and what metrics refer to: stored, versioned, archived, and checked where it is used."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.definitions import METRIC, add_configuration, add_endpoint, add_test_set, created
from tests.postgres import TestDatabase
from tests.records import connect

IMPORT = {"Content-Type": "application/x-ndjson"}


async def add_metric(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await created(api, "/v1/metrics", METRIC | fields)


def refers_to(key: str) -> dict[str, Any]:
    return {"type": "metric", "metric_id": key}


async def test_a_metric_is_answered_as_it_is_used(api: httpx.AsyncClient) -> None:
    metric = await add_metric(api, description="For customers.")
    assert (metric["name"], metric["description"], metric["version"]) == ("polite", "For customers.", 1)
    assert (metric["spec"]["value"], metric["spec"]["weight"]) == ("please", 1.0)
    assert (await api.get(metric["links"]["self"])).json() == metric
    assert (await api.get("/v1/metrics")).json()["items"] == [metric]


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "llm_judge", "url": "https://judge.example.com/v1", "model": "small", "rubric": "x"},
        {"type": "json_schema", "schema": {"type": "object"}, "threshold": 1},
        {"type": "webhook", "url": "https://judge.example.com/"},
    ],
)
async def test_a_metric_may_be_of_any_type_and_is_put_back_as_it_is_read(
    api: httpx.AsyncClient, spec: dict[str, Any]
) -> None:
    metric = await add_metric(api, spec=spec)
    changed = (await api.patch(metric["links"]["self"], json={"spec": metric["spec"]})).json()
    assert changed["spec"] == metric["spec"]


async def test_each_change_is_a_version(api: httpx.AsyncClient) -> None:
    metric = await add_metric(api)
    path = metric["links"]["self"]
    changed = (await api.patch(path, json={"spec": {"type": "regex", "pattern": "x"}})).json()
    assert (changed["version"], changed["spec"]["type"], changed["name"]) == (2, "regex", "polite")
    described = (await api.patch(path, json={"description": "Better."})).json()
    assert (described["version"], described["spec"], described["description"]) == (3, changed["spec"], "Better.")
    assert described["updated_at"] > metric["updated_at"]
    assert (await api.patch(path, json={})).json() == described


async def test_a_name_is_taken_until_its_metric_is_archived(api: httpx.AsyncClient) -> None:
    metric = await add_metric(api)
    problem = await api.post("/v1/metrics", json=METRIC)
    assert (problem.status_code, problem.json()["code"]) == (409, "name_taken")
    assert problem.json()["errors"][0]["pointer"] == "/name"
    assert (await api.delete(metric["links"]["self"])).status_code == 204
    again = await add_metric(api)
    assert (again["version"], again["id"] != metric["id"]) == (1, True)
    changed = await api.patch(metric["links"]["self"], json={"description": "late"})
    assert (changed.status_code, changed.json()["code"]) == (409, "archived")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"spec": {"type": "metric", "metric_id": str(uuid4())}}, "/spec"),
        ({"spec": {"type": "vibes"}}, "/spec"),
        ({"spec": {"type": "llm_judge", "rubric": "x"}}, "/spec"),
        ({"spec": {"type": "webhook", "url": "https://a.example/", "endpoint_id": str(uuid4())}}, "/spec"),
        ({"name": ""}, "/name"),
        ({"description": "x" * 2001}, "/description"),
    ],
)
async def test_a_metric_that_is_none_is_refused(api: httpx.AsyncClient, fields: dict[str, Any], pointer: str) -> None:
    problem = (await api.post("/v1/metrics", json=METRIC | fields)).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("validation_failed", pointer)


@pytest.mark.parametrize("kind", ["llm_judge", "webhook"])
async def test_a_judge_at_a_private_address_is_refused_wherever_it_is_named(api: httpx.AsyncClient, kind: str) -> None:
    extra = {"model": "m", "rubric": "x"} if kind == "llm_judge" else {}
    metric = {"type": kind, "url": "http://127.0.0.1/", **extra}
    made = await add_configuration(api)
    body = {"name": "x", "endpoint_id": made.endpoint_id, "test_set_id": made.test_set_id}
    tests = [{"input": "?"}, {"input": "?", "assertions": [metric]}]
    path = f"/v1/test-sets/{made.test_set_id}"
    for answer, pointer in [
        (await api.post("/v1/metrics", json=METRIC | {"spec": metric}), "/spec/url"),
        (await api.post("/v1/test-configurations", json=body | {"metrics": [metric]}), "/metrics/0/url"),
        (await api.post(f"{path}/tests", json={"tests": tests}), "/tests/1/assertions/0/url"),
    ]:
        assert (answer.status_code, answer.json()["code"]) == (422, "url_refused")
        assert answer.json()["errors"][0]["pointer"] == pointer
    imported = await api.post(f"{path}/import", content="\n".join(map(json.dumps, tests)), headers=IMPORT)
    fault = imported.json()["errors"][0]
    assert (fault["line"], fault["pointer"]) == (2, "/assertions/0/url")


async def test_what_metrics_refer_to_is_used_and_found(api: httpx.AsyncClient) -> None:
    metric = await add_metric(api)
    judge = {"type": "llm_judge", "endpoint_id": await add_endpoint(api), "rubric": "x"}
    both = [refers_to(metric["id"]) | {"weight": 2, "not_": True}, judge]
    made = await add_configuration(api, metrics=both)
    configuration = (await api.get(f"/v1/test-configurations/{made.configuration_id}")).json()
    assert configuration["metrics"][0] == {
        "type": "metric",
        "metric_id": metric["id"],
        "name": None,
        "not_": True,
        "weight": 2.0,
        "threshold": None,
        "threshold_operator": None,
    }
    tests = [{"input": "?", "assertions": both}]
    await add_test_set(api, tests=tests)
    path = f"/v1/test-sets/{made.test_set_id}"
    content = "\n".join(json.dumps(test) for test in tests * 3)
    assert (await api.post(f"{path}/import", content=content, headers=IMPORT)).json()["imported"] == 3
    exported = await api.get(f"{path}/export", params={"format": "jsonl"})
    again = await api.post(f"{path}/import", content=exported.content, headers=IMPORT)
    assert again.json()["imported"] == 4


async def test_an_import_tells_the_line_that_refers_to_nothing(api: httpx.AsyncClient) -> None:
    metric, test_set_id, unknown = await add_metric(api), await add_test_set(api), str(uuid4())
    tests = [
        {"input": "a", "assertions": [refers_to(metric["id"])]},
        {"input": "b", "assertions": [{"type": "equals"}, refers_to(unknown)]},
        {"input": "c", "assertions": [refers_to(unknown)]},
    ]
    content = "\n".join(map(json.dumps, tests))
    answer = await api.post(f"/v1/test-sets/{test_set_id}/import", content=content, headers=IMPORT)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    detail = f'There is no metric with the id "{unknown}".'
    assert answer.json()["errors"] == [{"line": 2, "pointer": "/assertions/1/metric_id", "detail": detail}]
    assert answer.json()["detail"] == f"Line 2, /assertions/1/metric_id: {detail}"
    assert (await api.get(f"/v1/test-sets/{test_set_id}")).json()["test_count"] == 1


async def test_what_a_turn_refers_to_is_looked_for(api: httpx.AsyncClient) -> None:
    turns = [{"input": "a"}, {"input": "b", "assertions": [refers_to(str(uuid4()))]}]
    answer = await api.post("/v1/test-sets", json={"name": "x", "tests": [{"turns": turns}]})
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["pointer"] == "/tests/0/turns/1/assertions/0/metric_id"


@pytest.mark.parametrize("kind", ["metric", "endpoint"])
async def test_what_is_archived_is_not_used_again(api: httpx.AsyncClient, database: TestDatabase, kind: str) -> None:
    metric, endpoint_id = await add_metric(api), await add_endpoint(api)
    uses = refers_to(metric["id"]) if kind == "metric" else {"type": "webhook", "endpoint_id": endpoint_id}
    made = await add_configuration(api, metrics=[uses])
    run = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()
    with connect(database.admin_url) as admin:
        admin.execute("UPDATE test_run SET status = 'completed', finished_at = now()")
        admin.execute(
            "INSERT INTO test_result (test_run_id, test_id, organization_id, position, status, output)"
            " SELECT %s, id, organization_id, 0, 'pass', '{}' FROM test WHERE test_set_id = %s",
            (run["test_run_id"], made.test_set_id),
        )
    await api.delete(metric["links"]["self"] if kind == "metric" else f"/v1/endpoints/{endpoint_id}")
    ids = {"endpoint_id": made.endpoint_id, "test_set_id": made.test_set_id}
    path = f"/v1/test-runs/{run['test_run_id']}"
    for answer, has_pointer in [
        (await api.post("/v1/test-configurations", json={"name": "x", "metrics": [uses], **ids}), True),
        (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute"), False),
        (await api.post(f"{path}/rerun"), False),
        (await api.post(f"{path}/rescore"), False),
        (await api.post(f"{path}/rescore", json={"metrics": [uses]}), True),
    ]:
        assert (answer.status_code, answer.json()["code"]) == (409, "archived")
        assert f"The {kind} " in answer.json()["detail"]
        assert ("errors" in answer.json()) is has_pointer
    assert (await api.post(f"{path}/rescore", json={"metrics": [{"type": "equals"}]})).status_code == 202
