"""Another organization's ids answer 404, on every route, exactly like ids that do not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.api.routing import Resource
from gateway.routes import routes
from tests.definitions import METRIC
from tests.integration.test_isolation import BODIES, OF_THE_DEPLOYMENT
from tests.stack.client import Client
from tests.stack.services import Worker

LISTS = (
    *("/v1/tasks", "/v1/endpoints", "/v1/test-sets", "/v1/test-configurations", "/v1/metrics", "/v1/test-runs"),
    *("/v1/run-groups", "/v1/webhook-endpoints", "/v1/webhook-deliveries"),
)


def routes_of_one() -> Iterator[tuple[str, str]]:
    """Every method of every path that names something by its id."""
    for route in routes():
        if not isinstance(route, Resource) or "{" not in route.path:
            continue
        # What is under /v1/admin is the operator's and no organization's.
        if not route.path.startswith("/v1/admin/") and route.path not in OF_THE_DEPLOYMENT:
            yield from ((method, route.path) for method in sorted((route.methods or set()) - {"HEAD"}))


@pytest.fixture
def owned(client: Client, worker: Worker) -> dict[str, str]:
    """One of everything, by the name that paths have for its id."""
    configuration = client.configure(endpoint={"url": "http://127.0.0.1:9/"}, tests=[{"input": "?"}])
    found = client.get(f"/v1/test-configurations/{configuration}")
    run_id = client.execute(configuration)
    client.settled(run_id)
    group = client.post(f"/v1/test-sets/{found['test_set_id']}/execute", {"test_configuration_ids": [configuration]})
    client.settled_group(group["run_group_id"])
    webhook = client.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/"})
    return {
        "task_id": client.run(run_id)["task_id"],
        "endpoint_id": found["endpoint_id"],
        "test_set_id": found["test_set_id"],
        "test_configuration_id": configuration,
        "test_id": client.get(f"/v1/test-sets/{found['test_set_id']}/tests")["items"][0]["id"],
        "metric_id": client.post("/v1/metrics", METRIC)["id"],
        "test_run_id": run_id,
        "other_test_run_id": run_id,
        "run_group_id": group["run_group_id"],
        "webhook_endpoint_id": webhook["id"],
        "webhook_delivery_id": client.post(webhook["links"]["test"], {})["id"],
        "api_key_id": client.get("/v1/api-keys")["items"][0]["id"],
    }


@pytest.fixture
def stranger(make_client: Callable[[], Client]) -> Client:
    return make_client()


def test_every_route_hides_what_another_organization_owns(client: Client, stranger: Client, owned: dict[str, str]):
    tried = 0
    for method, path in routes_of_one():
        unknown = {name: str(uuid4()) for name in owned}
        body = BODIES.get((method, path))
        refused = stranger.http.request(method, path.format(**owned), json=body)
        absent = stranger.http.request(method, path.format(**unknown), json=body)
        assert (refused.status_code, absent.status_code) == (404, 404), (method, path)
        assert without_ids(refused, owned) == without_ids(absent, unknown), (method, path)
        tried += 1
    assert tried >= 12
    for method, path in routes_of_one():
        if method == "GET":
            wanted = {"format": "jsonl"} if path.endswith("/export") else {}
            assert client.http.get(path.format(**owned), params=wanted).status_code == 200, path


def without_ids(answer: httpx.Response, ids: dict[str, str]) -> dict[str, Any]:
    """A problem, with the id that was asked for replaced by its name."""
    body = answer.json() | {"request_id": None, "trace_id": None}
    texts = {key: value for key, value in body.items() if isinstance(value, str)}
    for name, value in ids.items():
        texts = {key: text.replace(value, name) for key, text in texts.items()}
    return texts


def test_lists_show_an_organization_its_own_only(client: Client, stranger: Client, owned: dict[str, str]):
    for path in LISTS:
        assert stranger.get(path)["items"] == []
        assert client.get(path)["items"] != []


@pytest.mark.parametrize("name", ["endpoint_id", "test_set_id"])
def test_nothing_can_be_built_on_what_another_organization_owns(
    client: Client, stranger: Client, owned: dict[str, str], name: str
):
    own = stranger.configure(endpoint={"url": "http://127.0.0.1:9/"}, tests=[{"input": "?"}])
    body = {key: stranger.get(f"/v1/test-configurations/{own}")[key] for key in ("endpoint_id", "test_set_id")}
    answer = stranger.http.post("/v1/test-configurations", json={"name": "mixed"} | body | {name: owned[name]})
    assert answer.status_code == 404
    assert stranger.http.post("/v1/test-configurations", json={"name": "own"} | body).status_code == 201


@pytest.mark.parametrize("key", ["", "tsg_wrong", "Bearer"])
def test_a_missing_or_wrong_key_answers_401_on_every_route(client: Client, owned: dict[str, str], key: str):
    for method, path in [*routes_of_one(), *(("GET", path) for path in (*LISTS, "/v1/caller"))]:
        headers = {"Authorization": f"Bearer {key}"} if key else {"Authorization": ""}
        answer = client.http.request(method, path.format(**owned), headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
