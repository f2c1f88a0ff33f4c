"""Exporting a test set: what is imported again is what was exported, whatever texts there are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import test_exports
from tests.definitions import created
from tests.postgres import TestDatabase
from tests.rest import Gateway, add_tenant

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv"}

_texts = st.one_of(
    st.sampled_from(
        ["", " ", '"', "'", ",", "\n", "\r", "\r\n", "\ufeff", "=1+1", "@x", "a,b", '"a"\n', "\\N", "null", "7"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_inputs = _texts | st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": _texts}), min_size=1, max_size=2)
_turns = st.lists(st.fixed_dictionaries({"input": _inputs}, optional={"expected": _values}), min_size=1, max_size=2)
_tests = st.builds(
    lambda asked, others: asked | others,
    st.fixed_dictionaries({"input": _inputs}) | st.fixed_dictionaries({"turns": _turns}),
    st.fixed_dictionaries(
        {},
        optional={
            "expected": _values,
            "tags": st.lists(
                _texts.map(str.strip).filter(lambda tag: tag.isprintable() and "," not in tag and tag), max_size=3
            ),
            "metadata": st.dictionaries(_texts, _values, max_size=3),
            "assertions": st.just([{"type": "contains", "value": 'a"\n', "not_": True}]),
        },
    ),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_gateway: Gateway, module_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with module_gateway.client(add_tenant(module_database)) as client:
        yield client


async def new_set(api: httpx.AsyncClient, *tests: dict[str, Any]) -> str:
    body = {"name": "exported"} | ({"tests": list(tests)} if tests else {})
    return str((await created(api, "/v1/test-sets", body))["links"]["self"])


async def stored(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    items = (await api.get(f"{path}/tests")).json()["items"]
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


async def export(api: httpx.AsyncClient, path: str, kind: str, **query: str) -> bytes:
    response = await api.get(f"{path}/export", params={"format": kind, **query})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(TYPES[kind])
    assert response.headers["content-disposition"].endswith(f'.{kind}"')
    return response.content


@pytest.mark.parametrize("kind", TYPES)
@given(tests=st.lists(_tests, min_size=1, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_exported_and_imported_is_the_same(
    api: httpx.AsyncClient, kind: str, tests: list[dict[str, Any]]
) -> None:
    first, second = await new_set(api, *tests), await new_set(api)
    file = await export(api, first, kind)
    imported = await api.post(f"{second}/import", content=file, headers={"Content-Type": TYPES[kind]})
    assert imported.status_code == 200, imported.text
    assert await stored(api, second) == await stored(api, first)
    assert await export(api, second, kind) == file


@pytest.mark.parametrize("kind", TYPES)
async def test_a_set_comes_in_pages_and_whole(
    api: httpx.AsyncClient, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_exports, "PAGE_TESTS", 3)
    monkeypatch.setattr(test_exports, "PAGE_BYTES", 500)
    sizes = [1, 1, 1, 1, 600, 1, 600, 600, 1]
    path = await new_set(api, *({"input": "x" * size, "tags": [f"s{size}"]} for size in sizes))
    for query, expected in (({}, sizes), ({"tag": "s600"}, [600] * 3), ({"tag": "none"}, [])):
        file = (await export(api, path, kind, **query)).decode()
        rows = csv.DictReader(io.StringIO(file)) if kind == "csv" else map(json.loads, file.splitlines())
        assert [len(row["input"]) for row in rows] == expected


async def test_an_empty_set_has_an_empty_file(api: httpx.AsyncClient) -> None:
    path = await new_set(api)
    assert await export(api, path, "jsonl") == b""
    assert (await export(api, path, "csv")).decode() == ",".join(test_exports.COLUMNS) + "\r\n"


async def test_a_set_that_changes_meanwhile_has_no_whole_file(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_exports, "PAGE_TESTS", 1)
    path = await new_set(api, {"input": "a"}, {"input": "b"})
    read = test_exports._read

    async def change_and_read(*args: Any, after: int) -> Any:
        if after >= 0:
            await api.patch(path, json={"name": "changed"})
        return await read(*args, after=after)

    monkeypatch.setattr(test_exports, "_read", change_and_read)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        await api.get(f"{path}/export")


async def test_another_form_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.get(f"{await new_set(api)}/export?format=xlsx")
    assert (response.status_code, response.json()["errors"][0]["parameter"]) == (422, "format")
