"""Definitions a test makes over REST, with defaults for what it does not care about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

ENDPOINT: dict[str, Any] = {"name": "app", "url": "https://app.example.com/ask", "request": {"q": "{{ input }}"}}
TEST_SET: dict[str, Any] = {"name": "sums", "tests": [{"input": "1 + 1", "expected": "2"}]}
WEBHOOK: dict[str, Any] = {"url": "https://ci.example.com/hooks"}
METRIC: dict[str, Any] = {"name": "polite", "spec": {"type": "contains", "value": "please"}}


@dataclass(frozen=True, kw_only=True)
class Configured:
    """The ids of a configuration and what it refers to."""

    endpoint_id: str
    test_set_id: str
    configuration_id: str


async def created(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def add_endpoint(client: httpx.AsyncClient, **fields: Any) -> str:
    return str((await created(client, "/v1/endpoints", ENDPOINT | fields))["id"])


async def add_test_set(client: httpx.AsyncClient, **fields: Any) -> str:
    return str((await created(client, "/v1/test-sets", TEST_SET | fields))["id"])


async def add_configuration(client: httpx.AsyncClient, **fields: Any) -> Configured:
    endpoint_id, test_set_id = await add_endpoint(client), await add_test_set(client)
    body = {"name": "sums on app", "endpoint_id": endpoint_id, "test_set_id": test_set_id}
    configuration = await created(client, "/v1/test-configurations", body | fields)
    return Configured(endpoint_id=endpoint_id, test_set_id=test_set_id, configuration_id=configuration["id"])
