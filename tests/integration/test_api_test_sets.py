"""Test sets that change: every change has a number, and runs keep the tests they were planned with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.definitions import add_configuration, created
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, gateway
from workerapp.db.address import DatabaseAddress
from workerapp.db.engine import WorkerDatabase
from workerapp.execution.plan import plan_run


async def add_set(api: httpx.AsyncClient, *inputs: str, **fields: Any) -> str:
    tests = [{"input": text} for text in inputs]
    return str((await created(api, "/v1/test-sets", {"name": "letters", "tests": tests} | fields))["links"]["self"])


async def items(api: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get(path, params=query)).json()["items"]
    return found


async def inputs(api: httpx.AsyncClient, path: str) -> list[str]:
    return [test["input"] for test in await items(api, f"{path}/tests")]


async def version(api: httpx.AsyncClient, path: str) -> int:
    return int((await api.get(path)).json()["version"])


async def test_ids(api: httpx.AsyncClient, path: str) -> list[str]:
    return [test["id"] for test in await items(api, f"{path}/tests")]


test_ids.__test__ = False  # type: ignore[attr-defined]


async def test_a_set_may_begin_without_tests(api: httpx.AsyncClient) -> None:
    test_set = await created(api, "/v1/test-sets", {"name": "to be filled"})
    assert (test_set["test_count"], test_set["version"]) == (0, 1)


async def test_tests_are_appended_in_their_order(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a", "b")
    response = await api.post(f"{path}/tests", json={"tests": [{"input": "c"}, {"input": "d", "metadata": {"n": 4}}]})
    added = response.json()
    assert (response.status_code, added["test_set"]["test_count"], added["test_set"]["version"]) == (201, 4, 2)
    assert await inputs(api, path) == ["a", "b", "c", "d"]
    assert (await test_ids(api, path))[2:] == added["test_ids"]


async def test_appending_again_with_the_same_key_appends_nothing(api: httpx.AsyncClient) -> None:
    path, body = await add_set(api, "a"), {"tests": [{"input": "b"}]}
    first, again = [await api.post(f"{path}/tests", json=body, headers={"Idempotency-Key": "1"}) for _ in range(2)]
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert await inputs(api, path) == ["a", "b"]


async def test_a_replaced_test_leaves_its_place_to_the_new_one(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a", "b", "c")
    old = (await test_ids(api, path))[1]
    response = await api.put(f"{path}/tests/{old}", json={"input": "B", "expected": "x"})
    assert response.status_code == 201
    assert await inputs(api, path) == ["a", "B", "c"]
    assert (await api.get(response.headers["location"])).json() == response.json()
    assert (await api.get(f"{path}/tests/{old}")).json()["archived_at"] is not None
    assert await version(api, path) == 2
    assert (await api.put(f"{path}/tests/{old}", json={"input": "b"})).json()["code"] == "archived"


async def test_a_test_that_is_taken_out_can_still_be_read(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a", "b")
    gone = (await test_ids(api, path))[0]
    for _ in range(2):
        assert (await api.delete(f"{path}/tests/{gone}")).status_code == 204
        assert await version(api, path) == 2
    assert await inputs(api, path) == ["b"]
    assert (await api.get(f"{path}/tests/{gone}")).json()["input"] == "a"


async def test_a_test_is_found_in_its_own_set_only(api: httpx.AsyncClient) -> None:
    path, other = await add_set(api, "a"), await add_set(api, "b")
    test_id = (await test_ids(api, path))[0]
    assert (await api.get(f"{other}/tests/{test_id}")).status_code == 404
    assert (await api.delete(f"{other}/tests/{test_id}")).status_code == 404
    assert (await api.put(f"{other}/tests/{test_id}", json={"input": "c"})).status_code == 404
    assert (await inputs(api, path), await inputs(api, other)) == (["a"], ["b"])


async def test_name_and_metadata_can_be_changed(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a", metadata={"team": 1})
    renamed = (await api.patch(path, json={"name": "vowels"})).json()
    assert (renamed["name"], renamed["metadata"], renamed["version"]) == ("vowels", {"team": 1}, 2)
    described = (await api.patch(path, json={"metadata": {}})).json()
    assert (described["name"], described["metadata"], described["version"]) == ("vowels", {}, 3)
    assert (await api.patch(path, json={})).json() == described


async def test_tests_can_be_put_in_another_order(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a", "b", "c")
    ids = await test_ids(api, path)
    response = await api.post(f"{path}/reorder", json={"test_ids": [ids[2], ids[0], ids[1]]})
    assert response.json()["version"] == 2
    assert await inputs(api, path) == ["c", "a", "b"]
    await api.post(f"{path}/tests", json={"tests": [{"input": "d"}]})
    assert await inputs(api, path) == ["c", "a", "b", "d"]


async def test_an_order_must_have_every_test_once(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a", "b")
    first, second = await test_ids(api, path)
    stranger = (await test_ids(api, await add_set(api, "x")))[0]
    for listed, pointers in (
        ([first], ["/test_ids"]),
        ([first, second, second], ["/test_ids/1", "/test_ids/2"]),
        ([first, second, stranger], ["/test_ids/2"]),
    ):
        problem = (await api.post(f"{path}/reorder", json={"test_ids": listed})).json()
        assert problem["code"] == "validation_failed"
        assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert (await inputs(api, path), await version(api, path)) == (["a", "b"], 1)


async def test_an_archived_set_cannot_be_changed(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "a")
    test_id = (await test_ids(api, path))[0]
    await api.delete(path)
    answers = [
        await api.patch(path, json={"name": "x"}),
        await api.post(f"{path}/tests", json={"tests": [{"input": "b"}]}),
        await api.post(f"{path}/reorder", json={"test_ids": [test_id]}),
        await api.put(f"{path}/tests/{test_id}", json={"input": "b"}),
        await api.delete(f"{path}/tests/{test_id}"),
    ]
    assert [response.json()["code"] for response in answers] == ["archived"] * 5


async def test_changes_at_once_are_counted_one_by_one(api: httpx.AsyncClient) -> None:
    path = await add_set(api, "0")
    await asyncio.gather(*(api.post(f"{path}/tests", json={"tests": [{"input": str(n)}]}) for n in range(1, 9)))
    stored = await items(api, f"{path}/tests")
    assert [test["position"] for test in stored] == list(range(9))
    assert {test["input"] for test in stored} == set("012345678")
    assert await version(api, path) == 9


async def test_a_set_has_room_for_so_many_tests(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, max_tests_per_set=3) as small, small.client(tenant) as api:
        path = await add_set(api, "a", "b")
        for _ in range(2):
            refused = (await api.post(f"{path}/tests", json={"tests": [{"input": "c"}, {"input": "d"}]})).json()
            assert (refused["code"], "at most 3" in refused["detail"]) == ("too_many_tests", True)
        assert (await api.post(f"{path}/tests", json={"tests": [{"input": "c"}]})).status_code == 201


@pytest.fixture
def worker(database: TestDatabase) -> Iterator[WorkerDatabase]:
    found = WorkerDatabase(DatabaseAddress.parse(database.url))
    yield found
    found.engine.dispose()


async def test_a_planned_run_keeps_its_tests_and_knows_their_version(
    api: httpx.AsyncClient, served: Gateway, tenant: Tenant, worker: WorkerDatabase
) -> None:
    made = await add_configuration(api)
    path = f"/v1/test-sets/{made.test_set_id}"
    await api.post(f"{path}/tests", json={"tests": [{"input": "2 + 2", "expected": "4"}, {"input": "3 + 3"}]})

    async def start() -> str:
        run = (await api.post(f"/v1/test-configurations/{made.configuration_id}/execute")).json()
        assert (await api.get(run["links"]["self"])).json()["test_set_version"] is None
        with worker.session(tenant.organization_id) as db:
            assert plan_run(db, UUID(run["test_run_id"]), lane_concurrency=10, max_results=100)
        return str(run["links"]["self"])

    before = await start()
    results = await items(api, f"{before}/results")
    first, second, third = await test_ids(api, path)
    await api.put(f"{path}/tests/{first}", json={"input": "1 + 2", "expected": "3"})
    await api.delete(f"{path}/tests/{second}")
    replaced = (await test_ids(api, path))[0]
    await api.post(f"{path}/reorder", json={"test_ids": [third, replaced]})
    after = await start()
    assert await items(api, f"{before}/results") == results
    assert [result["input"] for result in results] == ["1 + 1", "2 + 2", "3 + 3"]
    assert [result["input"] for result in await items(api, f"{after}/results")] == ["3 + 3", "1 + 2"]
    assert (await api.get(before)).json()["test_set_version"] == 2
    assert (await api.get(after)).json()["test_set_version"] == 5 == await version(api, path)


async def test_tests_are_found_by_their_tags(api: httpx.AsyncClient) -> None:
    tests = [{"input": "a", "tags": ["smoke", "easy", "smoke"]}, {"input": "b"}, {"input": "c", "tags": ["smoke"]}]
    path = (await created(api, "/v1/test-sets", {"name": "tagged", "tests": tests}))["links"]["self"]
    assert [test["tags"] for test in await items(api, f"{path}/tests")] == [["smoke", "easy"], [], ["smoke"]]
    assert [test["input"] for test in await items(api, f"{path}/tests", tag="smoke")] == ["a", "c"]
    assert [test["input"] for test in await items(api, f"{path}/tests", tag="easy")] == ["a"]
    assert await items(api, f"{path}/tests", tag="smo") == []
    page = (await api.get(f"{path}/tests", params={"tag": "smoke", "limit": 1})).json()
    assert [test["input"] for test in await items(api, f"{path}/tests", tag="smoke", cursor=page["next_cursor"])] == [
        "c"
    ]


@pytest.mark.parametrize("tag", ["", " a", "a ", "a,b", "a\nb", "x" * 101])
async def test_a_tag_that_a_table_could_not_hold_is_refused(api: httpx.AsyncClient, tag: str) -> None:
    tests = [{"input": "a", "tags": ["fine", tag]}]
    problem = (await api.post("/v1/test-sets", json={"name": "x", "tests": tests})).json()
    assert [fault["pointer"] for fault in problem["errors"]] == ["/tests/0/tags/1"]
