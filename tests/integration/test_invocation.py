"""Trying one input: what is told of the request and the response, and what is not."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiohttp import web

from tests.definitions import add_endpoint
from tests.integration.test_target import output, serving, status
from workerapp.contract.endpoint_secrets import hide_secrets, secrets_of
from workerapp.contract.invocation import InvocationResult
from workerapp.contract.specs import EndpointSpec
from workerapp.db.sealing import endpoint_place, new_key
from workerapp.execution.invocation import invoke
from workerapp.execution.sealed_endpoint import SealedEndpoint
from workerapp.settings import WorkerSettings

KEY = new_key()


async def tried(url: str, *, settings: dict[str, Any] | None = None, **fields: Any) -> InvocationResult:
    spec = EndpointSpec.model_validate({"name": "site", "url": url, "request": {"q": "{{ input }}"}} | fields)
    worker = WorkerSettings(
        database_url="postgresql://nowhere/x", secret_keys=(KEY,), outbound_allow="127.0.0.0/8", **(settings or {})
    )
    secrets = secrets_of(spec)
    key, owner = uuid4(), uuid4()
    sealed = None if secrets is None else worker.sealer.seal(secrets, endpoint_place(owner, key))
    endpoint = SealedEndpoint(id=key, organization_id=owner, spec=hide_secrets(spec), sealed_headers=sealed)
    return await invoke(endpoint, {"input": "Why?", "metadata": {"n": 3}}, worker, {})


async def test_request_response_and_output_are_told() -> None:
    answered = web.json_response({"output": "Because.", "n": 1}, headers={"X-Request-Id": "r-1", "X-Private": "p"})
    async with serving(answered) as site:
        result = await tried(site.url, query={"n": "{{ metadata.n }}"}, response={"output": "$.output", "n": "$.n"})
    assert result.request is not None
    assert result.response is not None
    assert (result.request.method, result.request.url) == ("POST", f"{site.url}?n=3")
    assert json.loads(result.request.body or "") == {"q": "Why?"}
    assert result.request.headers["Content-Type"] == "application/json"
    assert (result.response.status, result.response.is_whole) == (200, True)
    assert json.loads(result.response.body) == {"output": "Because.", "n": 1}
    assert result.response.headers["x-request-id"] == "r-1"
    assert "x-private" not in result.response.headers
    assert (result.output, result.error, result.attempts) == ({"output": "Because.", "n": 1}, None, 1)
    assert result.latency_ms is not None


async def test_secrets_are_not_told_even_if_the_application_repeats_them() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return status(400, f"bad {request.headers['Authorization']} {request.headers['X-Key']}", Server="tok-secret-1")

    async with serving(echo) as site:
        auth = {"type": "bearer", "token": "tok-secret-1"}
        result = await tried(site.url + "?key=tok-secret-3", headers={"X-Key": "tok-secret-2"}, auth=auth)
    assert result.request is not None
    assert (result.request.headers["Authorization"], result.request.headers["X-Key"]) == ("***", "***")
    assert result.response is not None
    assert result.response.body == "bad Bearer *** ***"
    assert result.error is not None
    assert (result.error["code"], result.output) == ("http_status", None)
    assert "tok-secret" not in result.model_dump_json()


async def test_long_bodies_are_told_in_part() -> None:
    async with serving(output("x" * 500)) as site:
        result = await tried(site.url, settings={"invocation_excerpt_bytes": 100})
    assert result.response is not None
    assert (len(result.response.body), result.response.is_whole) == (100, False)
    assert result.output == {"output": "x" * 500}


async def test_what_could_not_be_asked_has_no_response() -> None:
    result = await tried("http://127.0.0.1:1/")
    assert result.response is None
    assert result.error is not None
    assert (result.error["code"], result.attempts) == ("connect_failed", 1)


async def test_without_a_worker_the_answer_is_a_task(api: httpx.AsyncClient) -> None:
    path = f"/v1/endpoints/{await add_endpoint(api)}/invoke"
    response = await api.post(path, json={"input": "Why?"}, headers={"Prefer": "wait=0"})
    assert response.status_code == 202
    task = (await api.get(response.headers["location"])).json()
    assert (task["name"], task["status"]) == ("invoke_endpoint", "PENDING")


@pytest.mark.parametrize(
    "body", [{}, {"input": "a", "messages": [{"role": "user", "content": "b"}]}, {"input": "a", "expected": "b"}]
)
async def test_an_invocation_asks_one_thing(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await api.post(f"/v1/endpoints/{await add_endpoint(api)}/invoke", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


async def test_an_archived_endpoint_is_not_invoked(api: httpx.AsyncClient) -> None:
    endpoint_id = await add_endpoint(api)
    await api.delete(f"/v1/endpoints/{endpoint_id}")
    response = await api.post(f"/v1/endpoints/{endpoint_id}/invoke", json={"input": "Why?"})
    assert (response.status_code, response.json()["code"]) == (409, "archived")
