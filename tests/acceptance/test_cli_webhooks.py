"""`gateway webhooks`: who is told when runs end, what was sent, and sending it again, as somebody types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client, new_client
from tests.stack.commands import run_command
from tests.stack.services import Gateway
from tests.stack.terminal import run_on_terminal
from workerapp.db.sealing import new_key


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    """One that can keep secrets."""
    with Gateway(module_database, environment={"GATEWAY_SECRET_KEYS": new_key()}) as running:
        yield running


@pytest.fixture
def environment(gateway: Gateway, client: Client) -> dict[str, str]:
    return {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": client.key}


def lines(environment: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    ended = run_command("webhooks", *arguments, environment=environment)
    assert ended.status == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_an_endpoint_is_made_tried_and_told_again(environment: dict[str, str], app: Application) -> None:
    types = "test_run.*,task.failed"
    (made,) = lines(environment, "create", app.url, "--types", types, "--description", "for us")
    assert made["secret"].startswith("whsec_")
    (listed,) = lines(environment, "list")
    assert {**listed, "secret": made["secret"]} == made
    assert (listed["event_types"], listed["description"]) == (types.split(","), "for us")
    (tried,) = lines(environment, "test", made["id"])
    (other,) = lines(environment, "create", f"{app.url}other")
    assert [endpoint["id"] for endpoint in lines(environment, "list", "--limit", "1")] == [other["id"]]
    (delivery,) = lines(environment, "deliveries", "--endpoint", made["id"], "--status", "pending")
    assert {name: tried[name] for name in delivery if name != "links"} == {
        name: value for name, value in delivery.items() if name != "links"
    }
    (again,) = lines(environment, "resend", delivery["id"])
    assert (again["id"], again["status"]) == (delivery["id"], "pending")
    assert lines(environment, "deliveries", "--type", "task.failed") == []
    (recovered,) = lines(environment, "recover", made["id"], "--since", "2026-01-01T00:00")
    assert recovered == {"recovered": 0, "more": False}
    status, screen = run_on_terminal("webhooks", "deliveries", "--subject", made["id"], environment=environment)
    assert (status, delivery["id"] in screen) == (0, True), screen


def test_what_is_wrong_is_said(environment: dict[str, str], module_database: TestDatabase, gateway: Gateway) -> None:
    refused = run_command("webhooks", "create", "http://10.0.0.1/", environment=environment)
    assert (refused.status, "10.0.0.1 is a private address" in refused.stderr) == (2, True), refused.stderr
    unknown = run_command("webhooks", "test", "../x", environment=environment)
    assert (unknown.status, "not_found" in unknown.stderr) == (2, True), unknown.stderr
    no_time = run_command("webhooks", "recover", "x", "--since", "yesterday", environment=environment)
    assert (no_time.status, "yesterday is not a time" in no_time.stderr) == (2, True)
    with new_client(module_database, gateway.url, "readers", ("runs:read",)) as reader:
        forbidden = run_command("webhooks", "list", environment=environment | {"GATEWAY_API_KEY": reader.key})
    assert (forbidden.status, "scope_missing" in forbidden.stderr) == (2, True), forbidden.stderr
