"""Behind nginx, configured as in deploy/: streams flow, are resumed and end, and nothing that is secret is logged."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from typing import Any

import aiohttp
import httpx
import psycopg
import pytest

from tests.postgres import TestDatabase
from tests.stack.client import Client, new_client, parse
from tests.stack.proxy import CONFIGURATION, Nginx, verdict
from tests.stack.services import Gateway, free_port
from tests.waiting import until


@pytest.fixture
def proxy(gateway: Gateway, reachable_folder: Path) -> Iterator[Nginx]:
    with Nginx(reachable_folder, [gateway.port]) as running:
        yield running


@pytest.fixture
def proxied(client: Client, proxy: Nginx) -> Iterator[Client]:
    """A client that knows the proxy only."""
    with Client(proxy.url, client.key, client.organization_id) as behind:
        yield behind


def become(admin: psycopg.Connection, task_id: str, *states: str) -> None:
    for state in states:
        admin.execute("UPDATE task SET state = %s WHERE id = %s", (state, task_id))


def submitted(client: Client) -> dict[str, Any]:
    return dict(client.post("/v1/tasks", {"name": "echo", "args": ["x"]}))


def test_what_is_shipped_is_a_configuration_nginx_takes_without_a_warning(reachable_folder: Path):
    shipped = CONFIGURATION.read_text().replace("/var/log/nginx", str(reachable_folder))
    configuration = reachable_folder / "nginx.conf"
    configuration.write_text(shipped.replace("listen 80;", f"listen {free_port()};"))
    said = verdict(configuration, reachable_folder)
    assert "test is successful" in said
    assert "[warn]" not in said


def test_every_event_arrives_when_it_happens(proxied: Client, admin: psycopg.Connection):
    task = submitted(proxied)
    with proxied.http.stream("GET", task["links"]["events"]) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-encoding" not in response.headers
        lines = response.iter_lines()
        assert next(lines).startswith("retry: ")
        events = parse(lines)
        assert next(events).type == "snapshot"
        for state, kind in (("STARTED", "task.started"), ("RETRY", "task.retry"), ("SUCCESS", "task.succeeded")):
            become(admin, task["task_id"], state)
            assert next(events).type == kind
        assert list(events) == []


def test_answers_that_are_no_streams_are_compressed(proxied: Client):
    document = proxied.http.get("/openapi.yaml")
    assert document.headers["content-encoding"] == "gzip"
    assert document.headers["etag"].endswith('-gzip"')
    again = proxied.http.get("/openapi.yaml", headers={"If-None-Match": document.headers["etag"]})
    assert again.status_code == 304


def test_a_browser_gets_the_dashboard_and_a_program_does_not(proxied: Client):
    page = proxied.http.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "require-trusted-types-for" in page.headers["content-security-policy"]
    again = {"Accept": "text/html,*/*;q=0.8", "If-None-Match": page.headers["etag"]}
    assert proxied.http.get("/", headers=again).status_code == 304
    assert proxied.http.get("/").json()["links"]["dashboard"] == "/"
    assert proxied.http.get("/dashboard/nothing.js").json()["code"] == "not_found"


def test_answers_that_may_hold_a_secret_are_not(proxied: Client):
    answer = proxied.http.post("/v1/tasks", json={"name": "echo", "args": ["x" * 5000]})
    assert "stream_token" in answer.json()
    assert "content-encoding" not in answer.headers


def test_a_stream_is_resumed_when_the_gateway_was_killed_and_is_back(
    proxied: Client, gateway: Gateway, admin: psycopg.Connection
):
    task = submitted(proxied)
    path = task["links"]["events"]
    live = proxied.events(path)
    seen = [next(live)]
    become(admin, task["task_id"], "STARTED")
    seen.append(next(live))
    gateway.kill()
    with pytest.raises(httpx.RemoteProtocolError):
        next(live)
    become(admin, task["task_id"], "RETRY")
    assert list(proxied.events(path, cursor=seen[-1].cursor)) == []
    gateway.start()
    become(admin, task["task_id"], "SUCCESS")
    resumed = until(lambda: list(proxied.events(path, cursor=seen[-1].cursor)))
    assert [event.seq for event in (*seen, *resumed)] == [1, 2, 3, 4]
    assert list(proxied.events(path, cursor="4")) == []


def test_while_no_gateway_is_there_streams_come_back_and_requests_fail(
    client: Client, reachable_folder: Path, gateway: Gateway
):
    with Nginx(reachable_folder, [free_port()]) as proxy, httpx.Client(base_url=proxy.url) as anyone:
        stream = anyone.get("/v1/events", headers={"Accept": "text/event-stream"})
        assert (stream.status_code, stream.text) == (200, "retry: 3000\n\n")
        assert stream.headers["content-type"] == "text/event-stream"
        assert anyone.get("/v1/events").status_code == 502
        assert anyone.get("/v1/tasks", headers={"Accept": "text/event-stream"}).status_code == 502


def test_what_is_for_the_operator_is_not_for_the_public(proxy: Nginx, gateway: Gateway):
    assert httpx.get(gateway.url + "/metrics").status_code == 200
    assert httpx.get(proxy.url + "/metrics").status_code == 404
    assert httpx.get(proxy.url + "/readyz").status_code == 200


async def test_a_websocket_works_through_it(proxied: Client, admin: psycopg.Connection, proxy: Nginx):
    task = submitted(proxied)
    protocols = ["gateway.v1", f"token.{task['stream_token']}"]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(proxy.url + "/v1/ws", protocols=protocols) as socket,
        asyncio.timeout(30),
    ):
        await socket.send_str(json.dumps({"type": "subscribe", "id": "a", "to": task["links"]["events"]}))
        assert [(await socket.receive_json())["type"] for _ in range(2)] == ["subscribed", "event"]
        for state, kind in (("STARTED", "task.started"), ("SUCCESS", "task.succeeded")):
            become(admin, task["task_id"], state)
            assert (await socket.receive_json())["event"]["type"] == kind
        assert (await socket.receive_json())["type"] == "end"


def test_a_client_that_leaves_frees_its_stream_at_the_gateway(module_database: TestDatabase, reachable_folder: Path):
    one = {"GATEWAY_STREAM__MAX_STREAMS": "1"}
    with (
        Gateway(module_database, environment=one) as gateway,
        Nginx(reachable_folder, [gateway.port]) as proxy,
        new_client(module_database, proxy.url, "behind nginx") as client,
    ):
        task = submitted(client)

        def is_room() -> bool:
            with client.http.stream("GET", task["links"]["events"]) as response:
                return response.status_code == 200

        with client.http.stream("GET", task["links"]["events"]) as response:
            lines = response.iter_lines()
            assert next(lines).startswith("retry: ")
            assert not is_room()
        until(is_room)


def test_a_gateway_that_is_away_is_passed_over(client: Client, gateway: Gateway, reachable_folder: Path):
    with (
        Nginx(reachable_folder, [free_port(), gateway.port]) as proxy,
        Client(proxy.url, client.key, client.organization_id) as behind,
    ):
        for _ in range(4):
            submitted(behind)
        assert len(behind.get("/v1/tasks")["items"]) == 4


def test_a_gateway_that_is_back_is_asked_when_the_other_one_stops_before_it_was_asked_again(reachable_folder: Path):
    first, second = free_port(), free_port()
    with Nginx(reachable_folder, [first, second]) as proxy:
        with a_gateway_that_answers(second):
            # Some of these are sent to the first one, and then it is left alone for a while.
            assert {httpx.get(proxy.url + "/v1/tasks").status_code for _ in range(4)} == {200}
        with a_gateway_that_answers(first):
            assert {httpx.post(proxy.url + "/v1/tasks").status_code for _ in range(4)} == {200}


def test_a_submission_that_may_have_arrived_is_not_sent_to_another_gateway(
    client: Client, gateway: Gateway, reachable_folder: Path
):
    with (
        a_gateway_that_breaks_off() as broken,
        Nginx(reachable_folder, [broken, gateway.port]) as proxy,
        Client(proxy.url, client.key, client.organization_id) as behind,
    ):
        assert behind.http.post("/v1/tasks", json={"name": "echo", "args": ["x"]}).status_code == 502
        assert behind.get("/v1/tasks")["items"] == []


def test_neither_tokens_nor_keys_are_logged(client: Client, gateway: Gateway, reachable_folder: Path):
    task = submitted(client)
    path, token = task["links"]["events"], task["stream_token"]
    stream = {"Accept": "text/event-stream", "Referer": f"http://page/?token={token}"}
    with a_gateway_that_breaks_off() as broken, Nginx(reachable_folder, [broken]) as proxy:
        for address in (f"{path}?token={token}", f"/v1/events?token={client.key}"):
            httpx.get(proxy.url + address, headers=stream | {"Authorization": f"Bearer {client.key}"})
        logged = until(lambda: proxy.log() if '"GET /v1/events HTTP/1.1" 200' in proxy.log() else None)
    assert f'"GET {path} HTTP/1.1" 200' in logged
    assert client.key not in logged
    assert "tst_" not in logged


@contextmanager
def a_gateway_that_answers(port: int) -> Iterator[None]:
    """Answers each request on a connection of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def a_gateway_that_breaks_off() -> Iterator[int]:
    """Reads each request, and closes the connection without a word; its port."""
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            listener.shutdown(2)
            thread.join()
