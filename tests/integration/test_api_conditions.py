"""Conditional requests for definitions: who has one gets no body, and no change is made to what was not read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.definitions import METRIC, add_configuration, created

CHANGED = {"description": "Changed meanwhile."}


@pytest.fixture
async def metric(api: httpx.AsyncClient) -> str:
    """The path of one that may be changed."""
    return str((await created(api, "/v1/metrics", METRIC))["links"]["self"])


async def test_who_has_a_definition_gets_no_body(api: httpx.AsyncClient) -> None:
    configured = await add_configuration(api)
    metric = await created(api, "/v1/metrics", METRIC)
    test = (await api.get(f"/v1/test-sets/{configured.test_set_id}/tests")).json()["items"][0]
    for path in (
        f"/v1/endpoints/{configured.endpoint_id}",
        f"/v1/test-sets/{configured.test_set_id}",
        f"/v1/test-configurations/{configured.configuration_id}",
        metric["links"]["self"],
        f"/v1/test-sets/{configured.test_set_id}/tests/{test['id']}",
    ):
        first = await api.get(path)
        again = await api.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == first.headers["etag"]
        assert (await api.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_what_has_changed_is_answered_with_another_tag(api: httpx.AsyncClient, metric: str) -> None:
    before = (await api.get(metric)).headers["etag"]
    changed = await api.patch(metric, json=CHANGED)
    read = await api.get(metric, headers={"If-None-Match": before})
    assert (read.status_code, read.json()["description"]) == (200, CHANGED["description"])
    assert read.headers["etag"] == changed.headers["etag"] != before


async def test_a_change_is_made_to_what_was_read_and_to_nothing_else(api: httpx.AsyncClient, metric: str) -> None:
    read = (await api.get(metric)).headers["etag"]
    ours = await api.patch(metric, json={"description": "First."}, headers={"If-Match": f'"other", {read}'})
    theirs = await api.patch(metric, json={"description": "Second."}, headers={"If-Match": read})
    assert ours.status_code == 200
    assert (theirs.status_code, theirs.json()["code"]) == (412, "precondition_failed")
    assert (await api.get(metric)).json()["description"] == "First."


@pytest.mark.parametrize("mark", ["W/{}", "*"])
async def test_a_tag_that_a_proxy_made_weak_and_the_star_let_a_change_pass(
    api: httpx.AsyncClient, metric: str, mark: str
) -> None:
    read = (await api.get(metric)).headers["etag"]
    assert (await api.patch(metric, json=CHANGED, headers={"If-Match": mark.format(read)})).status_code == 200


async def test_every_change_of_a_definition_can_be_made_conditional(api: httpx.AsyncClient, metric: str) -> None:
    configured = await add_configuration(api)
    test_set = f"/v1/test-sets/{configured.test_set_id}"
    tests = (await api.get(f"{test_set}/tests")).json()["items"]
    order = {"test_ids": [test["id"] for test in reversed(tests)]}
    changes: tuple[tuple[str, str, Any], ...] = (
        ("PATCH", metric, CHANGED),
        ("PATCH", test_set, {"name": "other"}),
        ("POST", f"{test_set}/reorder", order),
        ("DELETE", f"/v1/endpoints/{configured.endpoint_id}", None),
        ("DELETE", f"/v1/test-configurations/{configured.configuration_id}", None),
        ("DELETE", test_set, None),
        ("DELETE", metric, None),
    )
    for method, path, body in changes:
        refused = await api.request(method, path, json=body, headers={"If-Match": '"stale"'})
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed"), path
    for method, path, body in changes:
        tag = (await api.get(path.removesuffix("/reorder"))).headers["etag"]
        assert (await api.request(method, path, json=body, headers={"If-Match": tag})).is_success, path
