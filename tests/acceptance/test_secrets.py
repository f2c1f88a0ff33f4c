"""Secrets stay where they are: they are in no log, no answer, no table and no message, whatever fails."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import pytest

from tests.postgres import TestDatabase
from tests.records import connect
from tests.stack.client import Client, new_client
from tests.stack.services import Gateway, Worker
from workerapp.db.sealing import new_key

#: By what they are; none is part of another.
PLANTED = {
    name: f"planted-{name}-Zq7w"
    for name in ("header", "bearer", "api-key", "client-secret", "access-token", "judge", "refused", "broken")
}
SECRET_KEY = new_key()
DEBUG = {"GATEWAY_SECRET_KEYS": SECRET_KEY, "GATEWAY_LOG_LEVEL": "DEBUG"}
QUESTIONS = ("fine", "refuse", "fail", "cut", "garble")


@dataclass
class Echo:
    """An application, a token server and a judge that repeat what they were sent whenever they fail."""

    port: int = 0
    heard: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@contextmanager
def echo() -> Iterator[Echo]:
    served = Echo()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            everything = f"{self.headers}\n{body}"
            served.heard.append(everything)
            if self.path == "/token":
                given = {"access_token": PLANTED["access-token"], "token_type": "Bearer", "expires_in": 3600}
                self.reply(200, json.dumps(given))
            elif self.path != "/app" or "refuse" in body:
                self.reply(401, everything)
            elif "fail" in body:
                self.reply(500, everything)
            elif "garble" in body:
                self.reply(200, f"no JSON: {everything}")
            elif "cut" in body:
                self.reply(200, everything, length=len(everything) + 100)
            else:
                self.reply(200, json.dumps({"output": "fine"}))

        def reply(self, status: int, text: str, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length or len(text.encode())))
            self.send_header("WWW-Authenticate", " ".join(text.split()))
            self.end_headers()
            self.wfile.write(text.encode())
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()


def oauth(token_url: str) -> dict[str, Any]:
    secret = {"client_id": "gateway", "client_secret": PLANTED["client-secret"], "client_auth": "body"}
    return {"type": "oauth2_client_credentials", "token_url": token_url, **secret}


def endpoints(site: Echo) -> dict[str, dict[str, Any]]:
    asked = {"url": site.url("app"), "request": {"q": "{{ input }}"}, "max_attempts": 2}
    return {
        "header": asked | {"headers": {"X-Own": PLANTED["header"]}},
        "bearer": asked | {"auth": {"type": "bearer", "token": PLANTED["bearer"]}},
        "api key": asked | {"auth": {"type": "api_key", "header": "X-Key", "value": PLANTED["api-key"]}},
        "oauth": asked | {"auth": oauth(site.url("token"))},
        "oauth refused": asked | {"auth": oauth(site.url("refusing"))},
    }


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    with Gateway(module_database, environment=DEBUG) as running:
        yield running


def traces_of(secret: str) -> set[str]:
    """How a secret would look in a text, also inside of bytes in hexadecimal and of base64, wherever it begins."""
    encoded = {base64.b64encode(b"x" * shift + secret.encode()).decode()[4:-4] for shift in range(3)}
    return {secret, secret.encode().hex(), *encoded}


def told(texts: dict[str, str], secrets: dict[str, str]) -> list[str]:
    """Which text tells which secret."""
    return [
        f"{place} tells {name}"
        for place, text in texts.items()
        for name, secret in secrets.items()
        if any(trace in text for trace in traces_of(secret))
    ]


def dump(admin: psycopg.Connection) -> dict[str, str]:
    """Every table as text."""
    tables = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'gateway'").fetchall()
    return {
        table: str(admin.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t".encode()).fetchone())
        for (table,) in tables
    }


def test_a_secret_would_be_found() -> None:
    for shift in range(3):
        hidden = base64.b64encode(b"y" * shift + PLANTED["header"].encode() + b"yyyy").decode()
        assert told({"x": hidden}, PLANTED) == ["x tells header"]
    assert told({"x": PLANTED["judge"].encode().hex()}, PLANTED) == ["x tells judge"]


def test_no_secret_is_told(module_database: TestDatabase, gateway: Gateway) -> None:
    answers: list[str] = []
    with (
        echo() as site,
        new_client(module_database, gateway.url, "secretive") as client,
        connect(module_database.admin_url) as admin,
    ):
        client.http.event_hooks["response"] = [lambda response: answers.append(heard(response))]
        secrets = PLANTED | {"the key": client.key, "the key of the seals": SECRET_KEY}
        runs, invocations = submitted(client, site)
        secrets["another key"] = refused(client, admin)
        waiting = dump(admin)
        assert all(task in waiting["broker_message"] for task in invocations), "the messages wait for a worker"
        with Worker(module_database, environment=DEBUG, loglevel="DEBUG") as worker:
            for run in runs:
                client.settled(run)
                client.results(run)
                client.get(f"/v1/test-runs/{run}/statistics")
                client.http.get(f"/v1/test-runs/{run}/export", params={"format": "junit"})
            for task in invocations:
                client.ended(task)
            for path in ("endpoints", "tasks", "events", "audit-events", "api-keys"):
                client.get(f"/v1/{path}")
            logs = {"the worker's log": "\n".join(worker.lines("")), "the gateway's log": "\n".join(gateway.lines(""))}
        texts = {f"{table}, waiting": text for table, text in waiting.items()} | dump(admin) | logs
        texts["an answer"] = "\n".join(answers)
    assert_all_was_tried(site, logs, texts)
    assert told(texts, secrets) == []


def heard(response: httpx.Response) -> str:
    """An answer, without the secret of a key where that is told, this once."""
    text = f"{response.headers} {response.read().decode()}"
    is_made = (response.request.method, response.url.path, response.status_code) == ("POST", "/v1/api-keys", 201)
    return text.replace(response.json()["secret"], "") if is_made else text


def submitted(client: Client, site: Echo) -> tuple[list[str], list[str]]:
    """Runs against each kind of endpoint, one of them with a judge, and an invocation of each."""
    tests = [{"input": question, "expected": "fine"} for question in QUESTIONS]
    judge = {"name": "judge", "url": site.url("judge"), "preset": "openai_chat", "model": "m"}
    judge |= {"auth": {"type": "bearer", "token": PLANTED["judge"]}}
    rubric = {"type": "llm_judge", "rubric": "Fine?", "endpoint_id": client.post("/v1/endpoints", judge)["id"]}
    runs, invocations = [], []
    for definition in endpoints(site).values():
        made = client.configure(endpoint=definition, tests=tests, metrics=[{"type": "equals"}, rubric])
        runs.append(client.execute(made))
        endpoint_id = client.get(f"/v1/test-configurations/{made}")["endpoint_id"]
        for question in QUESTIONS:
            answer = client.http.post(
                f"/v1/endpoints/{endpoint_id}/invoke", json={"input": question}, headers={"Prefer": "wait=0"}
            )
            invocations.append(answer.json()["task_id"])
    return runs, invocations


def refused(client: Client, admin: psycopg.Connection) -> str:
    """Requests with secrets that go wrong in every way; the secret of a key that was made on the way."""
    http, headers = client.http, {"Authorization": PLANTED["refused"]}
    definition = {"name": "x", "url": "https://app.example.com/", "headers": headers}
    for wrong in (
        {"headers": {"Authorization": f"{PLANTED['refused']}\n"}},
        {"auth": {"type": "bearer", "token": [PLANTED["refused"]]}},
        {"auth": {"type": "bearer", "tokens": PLANTED["refused"]}},
        {"url": "http://127.0.0.1:25/"},
    ):
        answer = http.post("/v1/endpoints", json=definition | wrong)
        assert answer.status_code == 422, answer.text
    assert http.get("/v1/tasks", headers={"Authorization": f"Bearer tsg_{PLANTED['refused']}"}).status_code == 401
    assert http.get("/v1/events", params={"token": f"tsg_{PLANTED['refused']}"}).status_code == 401
    assert http.post("/v1/endpoints", content=json.dumps(definition)[:-1]).status_code == 415
    broken = definition | {"headers": {"Authorization": PLANTED["broken"]}}
    admin.execute("REVOKE INSERT ON endpoint FROM gateway_rw")
    try:
        assert http.post("/v1/endpoints", json=broken, headers={"Idempotency-Key": "k"}).status_code == 500
    finally:
        admin.execute("GRANT INSERT ON endpoint TO gateway_rw")
    return str(client.post("/v1/api-keys", {"name": "another"})["secret"])


def assert_all_was_tried(site: Echo, logs: dict[str, str], texts: dict[str, str]) -> None:
    sent = "\n".join(site.heard)
    for name in ("header", "bearer", "api-key", "client-secret", "access-token", "judge"):
        assert PLANTED[name] in sent, name
    assert "Traceback" in logs["the gateway's log"]
    assert "DEBUG" in logs["the worker's log"]
    assert "***" in texts["test_result"], "what the application repeated is told without the secret"
    assert "***" in texts["task"]
