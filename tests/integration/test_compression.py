"""Large answers are compressed for callers that take it; streams, files and what may hold a secret never are."""

from __future__ import annotations

import gzip

import httpx
import pytest

from gateway.transport.compression import compress_once
from tests.definitions import METRIC, add_test_set, created
from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, gateway

GZIP = {"Accept-Encoding": "gzip"}
LARGE = {"name": "large", "description": "x" * 2000, "spec": METRIC["spec"]}


@pytest.fixture
async def metric(api: httpx.AsyncClient) -> str:
    """The path of what is large enough."""
    return str((await created(api, "/v1/metrics", LARGE))["links"]["self"])


@pytest.mark.parametrize("accepted", ["gzip", "br;q=1, GZIP;q=0.5", "*", "identity, *;q=0.1"])
async def test_a_large_answer_is_compressed_for_who_takes_it(
    api: httpx.AsyncClient, metric: str, accepted: str
) -> None:
    async with api.stream("GET", metric, headers={"Accept-Encoding": accepted}) as response:
        sent = b"".join([part async for part in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(sent) < 1000
    assert "Accept-Encoding" in response.headers["vary"]
    assert gzip.decompress(sent) == (await api.get(metric, headers={"Accept-Encoding": "identity"})).content


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br", "*;q=0", "gzip;q=0, *"])
async def test_it_is_sent_as_it_is_to_who_does_not(api: httpx.AsyncClient, metric: str, accepted: str) -> None:
    response = await api.get(metric, headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in response.headers
    assert "Accept-Encoding" in response.headers["vary"]
    assert response.json()["description"] == LARGE["description"]


async def test_a_task_varies_by_what_is_preferred_and_accepted(api: httpx.AsyncClient, database: TestDatabase) -> None:
    task = (await api.post("/v1/tasks", json={"name": "echo"})).json()
    with connect(database.admin_url) as admin:
        state = "UPDATE task SET state = 'SUCCESS', result = to_jsonb(repeat('x', 5000)) WHERE id = %s"
        admin.execute(state, (task["task_id"],))
    read = await api.get(task["links"]["self"], headers=GZIP)
    assert (read.headers["content-encoding"], read.headers["vary"]) == ("gzip", "Prefer, Accept-Encoding")
    assert len(read.json()["result"]) == 5000


async def test_a_compressed_answer_has_a_tag_of_its_own_that_means_the_same(
    api: httpx.AsyncClient, metric: str
) -> None:
    plain = (await api.get(metric, headers={"Accept-Encoding": "identity"})).headers["etag"]
    compressed = (await api.get(metric, headers=GZIP)).headers["etag"]
    assert compressed == f'{plain[:-1]}-gzip"'
    for tag in (plain, compressed):
        known = await api.get(metric, headers=GZIP | {"If-None-Match": tag})
        assert (known.status_code, known.headers["etag"]) == (304, tag)
    changed = await api.patch(metric, json={"description": "short"}, headers={"If-Match": compressed})
    assert changed.status_code == 200


async def test_short_answers_and_those_of_changes_are_not(api: httpx.AsyncClient, metric: str) -> None:
    assert "content-encoding" not in (await api.get("/v1/tasks", headers=GZIP)).headers
    changed = await api.patch(metric, json={"description": "y" * 2000}, headers=GZIP)
    assert "content-encoding" not in changed.headers
    refused = await api.get(f"/v1/{'x' * 3000}", headers=GZIP)
    assert (refused.status_code, "content-encoding" in refused.headers) == (404, False)


async def test_files_are_sent_piece_by_piece_as_they_are(api: httpx.AsyncClient) -> None:
    key = await add_test_set(api, tests=[{"input": "x" * 5000}])
    exported = await api.get(f"/v1/test-sets/{key}/export", headers=GZIP)
    assert (exported.status_code, "content-encoding" in exported.headers) == (200, False)
    assert len(exported.content) > 5000


async def test_a_stream_is_never_compressed(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, compression_min_bytes=1) as running, running.client(tenant) as client:
        task = (await client.post("/v1/tasks", json={"name": "echo"})).json()
        await client.post(task["links"]["cancel"])
        stream = await client.get(task["links"]["events"], headers=GZIP)
        assert (stream.status_code, "content-encoding" in stream.headers) == (200, False)
        assert "content-encoding" in (await client.get("/v1/tasks", headers=GZIP)).headers


async def test_it_can_be_turned_off(database: TestDatabase, tenant: Tenant) -> None:
    async with gateway(database.url, compression_min_bytes=0) as running, running.client(tenant) as client:
        response = await client.get("/openapi.yaml", headers=GZIP)
        assert response.status_code == 200
        assert not {"content-encoding", "vary"} & response.headers.keys()


async def test_what_everybody_gets_is_compressed_once_and_whole(served: Gateway) -> None:
    compress_once.cache_clear()
    async with served.client() as client:
        for _ in range(3):
            compressed = await client.get("/openapi.yaml", headers=GZIP)
        assert compress_once.cache_info().misses == 1
        plain = await client.get("/openapi.yaml", headers={"Accept-Encoding": "identity"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert int(compressed.headers["content-length"]) < len(plain.content) / 5
    assert compressed.content == plain.content
