"""Importing a file of tests: all of it or none, with the lines that are wrong, in limits of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.definitions import created
from tests.postgres import TestDatabase
from tests.rest import Gateway, Tenant, add_tenant, gateway

A_TEST = b'{"input": "a"}\n'
JSONL, CSV = {"Content-Type": "application/x-ndjson"}, {"Content-Type": "text/csv; charset=utf-8"}


async def new_set(api: httpx.AsyncClient, *inputs: str) -> str:
    body: dict[str, Any] = {"name": "imported"}
    if inputs:
        body["tests"] = [{"input": text} for text in inputs]
    return str((await created(api, "/v1/test-sets", body))["links"]["self"])


def lines(*tests: dict[str, Any]) -> bytes:
    return "".join(json.dumps(test) + "\n" for test in tests).encode()


async def stored(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"{path}/tests")).json()["items"]
    return items


async def refused(
    api: httpx.AsyncClient, path: str, content: bytes, kind: dict[str, str], status: int = 422
) -> dict[str, Any]:
    before = (await api.get(path)).json()
    response = await api.post(f"{path}/import", content=content, headers=kind)
    assert response.status_code == status, response.text
    assert (await api.get(path)).json() == before
    problem: dict[str, Any] = response.json()
    return problem


async def test_json_lines_become_tests_behind_those_there_are(api: httpx.AsyncClient) -> None:
    path = await new_set(api, "first")
    full = {
        "input": [{"role": "user", "content": "hi"}],
        "expected": {"n": [1, None]},
        "tags": ["smoke"],
        "metadata": {"topic": "x"},
        "assertions": [{"type": "contains", "value": "a", "not": True}],
    }
    content = lines(full, {"input": "b"}, {"input": "c", "expected": None}) + b"\n"
    response = await api.post(f"{path}/import", content=content, headers=JSONL)
    imported = response.json()
    assert (response.status_code, imported["imported"]) == (200, 3)
    assert (imported["test_set"]["test_count"], imported["test_set"]["version"]) == (4, 2)
    tests = await stored(api, path)
    assert [test["position"] for test in tests] == [0, 1, 2, 3]
    assert [test["input"] for test in tests] == ["first", full["input"], "b", "c"]
    assert [test["expected"] for test in tests] == [None, {"n": [1, None]}, None, None]
    assert (tests[1]["tags"], tests[1]["metadata"]) == (["smoke"], {"topic": "x"})
    assert tests[1]["assertions"][0]["not_"] is True


async def test_an_imported_test_is_stored_as_one_that_was_sent_as_json(api: httpx.AsyncClient) -> None:
    tests = [{"input": "a", "expected": "b", "metadata": {"x": 1.5}, "tags": ["t"]}, {"input": "c"}]
    sent = (await created(api, "/v1/test-sets", {"name": "sent", "tests": tests}))["links"]["self"]
    path = await new_set(api)
    await api.post(f"{path}/import", content=lines(*tests), headers=JSONL)
    for one, other in zip(await stored(api, sent), await stored(api, path), strict=True):
        assert {**one, "id": ""} == {**other, "id": ""}


async def test_a_file_can_have_tests_of_several_turns(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    turns = [{"input": "a", "expected": "b"}, {"input": "c", "assertions": [{"type": "is_json"}]}]
    await api.post(f"{path}/import", content=lines({"turns": turns, "expected": "d"}, {"input": "e"}), headers=JSONL)
    first, second = await stored(api, path)
    assert (first["input"], first["expected"], second["turns"]) == (None, "d", None)
    assert [(turn["input"], turn["expected"]) for turn in first["turns"]] == [("a", "b"), ("c", None)]
    assert first["turns"][1]["assertions"][0]["type"] == "is_json"
    problem = await refused(api, path, lines({"turns": [{"input": "a"}, {"input": 1}]}, {"turns": None}), JSONL)
    assert next((fault["line"], fault["pointer"]) for fault in problem["errors"]) == (1, "/turns/1/input")
    assert (problem["errors"][-1]["line"], problem["errors"][-1]["detail"]) == (
        2,
        "A test has either an input, or turns that are asked one after another.",
    )


async def test_the_rows_of_a_table_become_tests(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    content = (
        '\ufeffquestion,answer,tags,metadata.topic,level\r\n"1, 2\nor ""3""?",2,"smoke, easy",numbers,7\r\nwhy?,,,,\r\n'
    ).encode()
    response = await api.post(
        f"{path}/import", content=content, headers=CSV, params={"input_field": "question", "expected_field": "answer"}
    )
    assert response.json()["imported"] == 2
    first, second = await stored(api, path)
    assert (first["input"], first["expected"]) == ('1, 2\nor "3"?', "2")
    assert (first["tags"], first["metadata"]) == (["smoke", "easy"], {"topic": "numbers"})
    assert (second["input"], second["expected"], second["tags"], second["metadata"]) == ("why?", None, [], {})


async def test_a_file_can_take_the_place_of_the_tests_there_are(api: httpx.AsyncClient) -> None:
    path = await new_set(api, "old", "older")
    old = (await stored(api, path))[0]
    for _ in range(2):
        response = await api.post(f"{path}/import?mode=replace", content=lines({"input": "new"}), headers=JSONL)
        assert response.json()["test_set"]["test_count"] == 1
    assert [(test["position"], test["input"]) for test in await stored(api, path)] == [(0, "new")]
    assert (await api.get(f"{path}/tests/{old['id']}")).json()["archived_at"] is not None


async def test_wrong_lines_are_told_and_nothing_is_imported(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    content = (
        b'{"input": "fine"}\n{"input": 7, "tags": ["a,b"]}\n{"question": 1}\n'
        b'{"input": "nul \\u0000"}\n{"input": "a", "expected": 1e999}\n'
        b'{"input": "a", "assertions": [{"type": "regex", "pattern": "("}]}\n{"input": "\xff"}\n'
    )
    problem = await refused(api, path, content, JSONL)
    assert problem["code"] == "import_invalid"
    assert problem["detail"].startswith("Nothing is imported. Line 2, /input: Input should be a valid string")
    assert list(dict.fromkeys((fault["line"], fault.get("pointer")) for fault in problem["errors"])) == [
        (2, "/input"),
        (2, "/tags/0"),
        (3, None),
        (4, "/input"),
        (5, "/expected"),
        (6, "/assertions/0/pattern"),
        (7, None),
    ]


async def test_a_table_that_is_none_is_told_where(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    problem = await refused(api, path, b'input,expected\na,b\nc\n"d,e\n', CSV)
    assert [(fault["line"], fault["detail"]) for fault in problem["errors"]] == [
        (3, "There are 1 cells, and 2 in the head."),
        (4, "This is not CSV: unexpected end of data."),
    ]


async def test_only_the_first_wrong_lines_are_told(api: httpx.AsyncClient) -> None:
    problem = await refused(api, await new_set(api), b"[]\n" * 1000, JSONL)
    assert [fault["line"] for fault in problem["errors"]] == list(range(1, 21))


async def test_a_file_without_tests_is_refused(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    assert (await refused(api, path, b"\n\n", JSONL))["code"] == "empty_test_set"
    assert (await refused(api, path, b"input\n", CSV))["code"] == "empty_test_set"


async def test_another_type_and_another_parameter_are_refused(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    assert (await refused(api, path, b"{}", {"Content-Type": "application/json"}, 415))["code"] == (
        "unsupported_media_type"
    )
    response = await api.post(f"{path}/import?question_field=q", content=b"{}", headers=JSONL)
    assert response.json()["errors"][0]["parameter"] == "question_field"


async def test_an_archived_set_takes_no_import(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    await api.delete(path)
    assert (await refused(api, path, lines({"input": "a"}), JSONL, 409))["code"] == "archived"


async def test_a_file_has_limits_of_its_own(database: TestDatabase, tenant: Tenant) -> None:
    limits = {"max_body_bytes": 1024, "max_import_bytes": 4096, "max_test_bytes": 1024, "max_tests_per_set": 50}
    async with gateway(database.url, **limits) as small, small.client(tenant) as api:
        path = await new_set(api)
        larger_than_json_may_be = lines({"input": "x" * 1000}, {"input": "y" * 1000})
        assert (await api.post(f"{path}/import", content=larger_than_json_may_be, headers=JSONL)).status_code == 200
        problem = await refused(api, path, lines({"input": "x"}, {"input": "y" * 1024}), JSONL)
        assert [(fault["line"], fault["detail"]) for fault in problem["errors"]] == [
            (2, "This is longer than 1024 bytes.")
        ]
        assert (await refused(api, path, b"x" * 4097, JSONL, 413))["code"] == "body_too_large"
        assert (await refused(api, path, lines(*[{"input": "x"}] * 51), JSONL))["code"] == "too_many_tests"
        problem = await refused(api, path, lines(*[{"input": "x"}] * 49), JSONL)
        assert (problem["code"], "has 2 tests and would have 51" in problem["detail"]) == ("too_many_tests", True)


async def test_a_body_without_a_length_is_limited_as_it_comes(database: TestDatabase, tenant: Tenant) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b'{"input": "x"}\n' * 60

    async with gateway(database.url, max_import_bytes=4096) as small, small.client(tenant) as api:
        path = await new_set(api)
        response = await api.post(f"{path}/import", content=chunks(), headers=JSONL)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
        assert await stored(api, path) == []


class SlowImport:
    """An import that has a place and whose body does not come: a server asks for the body when it begins to read it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def begin(cls, served: Gateway, tenant: Tenant, path: str) -> SlowImport:
        url = httpx.URL(served.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST {path}/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.secret}\r\n"
        head += f"Content-Type: application/jsonl\r\nContent-Length: {len(A_TEST)}\r\nExpect: 100-continue\r\n\r\n"
        writer.write(head.encode())
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer)

    async def end(self) -> None:
        """Send the body."""
        self._writer.write(A_TEST)
        assert b" 200 " in await self._reader.readline()
        self._writer.close()


async def test_imports_beyond_those_read_at_once_are_refused(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, max_imports=1) as small, small.client(tenant) as api:
        path = await new_set(api)
        slow = await SlowImport.begin(small, tenant, path)
        problem = await refused(api, path, lines({"input": "b"}), JSONL, 503)
        assert problem["code"] == "imports_full"
        # Who sends slowly keeps nobody else from changing the set.
        assert (await api.post(f"{path}/tests", json={"tests": [{"input": "b"}]})).status_code == 201
        await slow.end()
        assert [test["input"] for test in await stored(api, path)] == ["b", "a"]


async def test_an_organization_cannot_take_all_places_for_imports(database: TestDatabase, tenant: Tenant) -> None:
    async with (
        gateway(database.url, max_imports=2, max_imports_per_organization=1) as served,
        served.client(tenant) as api,
        served.client(add_tenant(database)) as stranger,
    ):
        path, theirs = await new_set(api), await new_set(stranger)
        slow = await SlowImport.begin(served, tenant, path)
        answer = await api.post(f"{path}/import", content=lines({"input": "b"}), headers=JSONL)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_imports")
        assert answer.headers["retry-after"] == "5"
        imported = await stranger.post(f"{theirs}/import", content=lines({"input": "c"}), headers=JSONL)
        assert imported.status_code == 200
        await slow.end()
        assert (await api.post(f"{path}/import", content=lines({"input": "d"}), headers=JSONL)).status_code == 200


async def test_a_file_that_does_not_arrive_in_time_is_refused(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, import_receive_seconds=0.1) as small, small.client(tenant) as api:
        path = await new_set(api)
        url = httpx.URL(small.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST {path}/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.secret}\r\n"
        writer.write(f"{head}Content-Type: text/csv\r\nContent-Length: 100\r\n\r\ninput\n".encode())
        assert b" 408 " in await reader.readline()
        assert b'"code":"upload_too_slow"' in (await reader.read(4096)).replace(b": ", b":")
        writer.close()
        await writer.wait_closed()
