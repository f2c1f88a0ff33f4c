"""An endpoint is tried over REST, and a worker asks the application."""

from __future__ import annotations

from tests.contract import Contract
from tests.stack.application import application
from tests.stack.client import Client
from tests.stack.services import Worker


def test_one_input_is_tried_and_everything_is_told(client: Client, worker: Worker):
    with application() as app:
        endpoint = {"name": "app", "url": app.url, "request": {"input": "{{ input }}"}}
        path = f"/v1/endpoints/{client.post('/v1/endpoints', endpoint)['id']}/invoke"
        answered = client.http.post(path, json={"input": "say hello"})
        refused = client.post(path, {"input": "fail"})
    Contract().check(answered)
    tried = answered.json()
    assert (answered.status_code, tried["output"], tried["error"]) == (200, {"output": "hello"}, None)
    assert tried["request"]["body"] == '{"input":"say hello"}'
    assert (tried["response"]["status"], tried["response"]["body"]) == (200, '{"output": "hello"}')
    assert client.task(tried["task_id"])["result"]["response"] == tried["response"]
    assert (refused["output"], refused["error"]["code"]) == (None, "http_status")
    assert refused["response"]["body"] == '{"error": "no"}'


def test_an_invocation_that_takes_longer_goes_on_as_a_task(client: Client, worker: Worker):
    with application() as app:
        endpoint = {"name": "app", "url": app.url, "request": {"input": "{{ input }}"}}
        path = f"/v1/endpoints/{client.post('/v1/endpoints', endpoint)['id']}/invoke"
        answered = client.http.post(path, json={"input": "wait"}, headers={"Prefer": "wait=0"})
        app.gate.set()
        task = client.ended(answered.json()["task_id"])
    assert answered.status_code == 202
    assert task["result"]["output"] == {"output": "wait"}
