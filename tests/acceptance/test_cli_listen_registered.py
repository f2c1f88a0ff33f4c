"""`gateway listen` registers itself at a real gateway, gets what is sent there, and leaves nothing registered."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.postgres import TestDatabase
from tests.stack.client import Client, new_client
from tests.stack.commands import COMMAND, Command, echo, gateway_up, run_command
from tests.stack.process import ROOT, _clean_environment
from tests.stack.services import Gateway, Worker
from workerapp.db.sealing import new_key

SEALING = {"GATEWAY_SECRET_KEYS": new_key()}


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    with Gateway(module_database, environment=SEALING) as running:
        yield running


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase) -> Iterator[Worker]:
    with Worker(module_database, environment=SEALING) as running:
        yield running


def registered(client: Client) -> list[dict[str, Any]]:
    return list(client.get("/v1/webhook-endpoints")["items"])


def access(client: Client, gateway: Gateway) -> dict[str, str]:
    return {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": client.key}


@contextmanager
def listening(client: Client, gateway: Gateway, *arguments: str) -> Iterator[tuple[Command, str]]:
    with Command("listen", "--port", "0", *arguments, environment=access(client, gateway)) as command:
        yield command, command.wait_for(r"^Listening on (http://\S+)")[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_registered_while_it_listens(client: Client, gateway: Gateway, number: signal.Signals) -> None:
    with listening(client, gateway, "--events", "task.*, test_run.completed") as (command, url):
        (endpoint,) = registered(client)
        assert (endpoint["url"], endpoint["enabled"]) == (url, True)
        assert set(endpoint["event_types"]) == {"task.*", "test_run.completed"}
        assert command.lines(f"^Registered as webhook endpoint {endpoint['id']}\\.$")
        assert command.end(number) == 0
    assert registered(client) == []


def test_it_can_be_registered_by_another_address(client: Client, gateway: Gateway) -> None:
    with listening(client, gateway, "--url", "https://tunnel.example.com/hook"):
        (endpoint,) = registered(client)
        assert endpoint["url"] == "https://tunnel.example.com/hook"
        assert set(endpoint["event_types"]) == {"test_run.*", "run_group.*"}


def test_what_happens_is_delivered_and_verified(database: TestDatabase) -> None:
    with (
        gateway_up("--database-url", database.admin_url) as up,
        Command("listen", "--port", "0", "--events", "task.*", environment=up.environment) as command,
    ):
        command.wait_for("^Listening on ")
        assert echo(up, "hello")
        line = json.loads(command.wait_for(r"^\{.*\}$")[0])
        assert (line["type"], line["verified"], line["answer"]) == ("task.succeeded", True, 204)
        assert "hello" in line["payload"]["data"]["result"]


def test_an_endpoint_that_is_gone_already_is_no_matter(client: Client, gateway: Gateway) -> None:
    with listening(client, gateway, "--events", "*") as (command, _):
        (endpoint,) = registered(client)
        assert client.http.delete(f"/v1/webhook-endpoints/{endpoint['id']}").status_code == 204
        assert command.end() == 0


def test_what_stays_registered_is_told(module_database: TestDatabase) -> None:
    with (
        Gateway(module_database, environment=SEALING) as dying,
        new_client(module_database, dying.url, "of a gateway that dies") as client,
        listening(client, dying, "--events", "*") as (command, _),
    ):
        (endpoint,) = registered(client)
        dying.kill()
        assert command.end() == 1
        command.wait_for("the webhook endpoint is still registered")
        command.wait_for(f"Remove it with DELETE {dying.url}/v1/webhook-endpoints/{endpoint['id']}")


def test_it_is_removed_when_nobody_reads_any_more(client: Client, gateway: Gateway, worker: Worker) -> None:
    listen = [*COMMAND, "listen", "--port", "0", "--events", "task.*"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = _clean_environment() | access(client, gateway)
    with subprocess.Popen(listen, cwd=ROOT, env=environment, **pipes) as child:
        assert [child.stderr.readline().split()[0] for _ in range(2)] == ["Registered", "Listening"]
        child.stdout.close()
        client.submit("echo", "hello")
        assert child.wait(30) == 1
    assert registered(client) == []


def test_a_gateway_that_may_not_call_this_machine_says_what_to_do(module_database: TestDatabase) -> None:
    with (
        Gateway(module_database, environment=SEALING | {"GATEWAY_OUTBOUND_ALLOW": ""}) as strict,
        new_client(module_database, strict.url, "of a strict gateway") as client,
    ):
        ended = run_command("listen", "--port", "0", "--events", "task.*", environment=access(client, strict))
        assert (ended.status, ended.stdout) == (2, "")
        assert "127.0.0.1 is a loopback address" in ended.stderr
        assert "GATEWAY_OUTBOUND_ALLOW=127.0.0.0/8,::1/128" in ended.stderr
        assert registered(client) == []


def test_what_the_gateway_refuses_is_said(client: Client, gateway: Gateway) -> None:
    ended = run_command("listen", "--port", "0", "--events", "nothing.*", environment=access(client, gateway))
    assert (ended.status, "nothing.*" in ended.stderr, ended.stdout) == (2, True, "")
