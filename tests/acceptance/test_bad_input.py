"""What callers get wrong: a problem with a stable code and a sentence that helps, or a result that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.acceptance.gsm8k import configure
from tests.stack.client import Client
from tests.stack.services import RecordedEndpoint, Worker, free_port

ENDPOINT = {"name": "app", "url": "http://127.0.0.1:9/"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of an answer, which has to be a problem that somebody can read."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    text = str(body)
    assert len(body["detail"]) > 20
    assert "Traceback" not in text
    assert "sqlalchemy" not in text.lower()
    return answer.status_code, body["code"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/tasks", b'{"name": "echo"', 400),
        ("/v1/tasks", b"[]", 422),
        ("/v1/tasks", b'{"name": "echo", "unheard_of": 1}', 422),
        ("/v1/tasks", b'{"name": 7}', 422),
        ("/v1/tasks", b'{"name": "echo", "args": "x"}', 422),
        ("/v1/tasks", b'{"name": "no_such_task"}', 422),
        ("/v1/tasks", b"\xff\xfe", 400),
        ("/v1/test-sets", b'{"name": "empty", "tests": []}', 422),
        ("/v1/test-sets", b'{"name": "no input", "tests": [{}]}', 422),
        ("/v1/test-configurations", b'{"name": "x", "endpoint_id": "seven", "test_set_id": "eight"}', 422),
    ],
)
def test_a_body_that_is_wrong_is_refused(client: Client, path: str, body: bytes, status: int):
    answer = client.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert problem(answer)[0] == status
    assert answer.json()["code"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"url": "ftp://files.example.com/"}, "url"),
        ({"url": "http://user:password@127.0.0.1/"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"request": {"q": "{{ input "}}, "request"),
        ({"request": {"q": "{{ inputs }}"}}, "request"),
        ({"request": {"q": "{{ input.upper() }}"}}, "request"),
        ({"response": {"output": "$.choices["}}, "response"),
        ({"response": {"text": "$.output"}}, "response"),
        ({"headers": {"Host": "other"}}, "headers"),
        ({"method": "DESTROY"}, "method"),
    ],
)
def test_an_endpoint_that_could_not_be_asked_is_refused(client: Client, change: dict[str, Any], where: str):
    answer = client.http.post("/v1/endpoints", json=ENDPOINT | change)
    assert problem(answer)[0] == 422
    assert where in answer.text


def test_a_body_over_the_limit_is_refused(client: Client):
    answer = client.http.post("/v1/tasks", json={"name": "echo", "args": ["x" * 11 * 1024 * 1024]})
    assert problem(answer) == (413, "body_too_large")


def test_another_kind_of_body_is_refused(client: Client):
    answer = client.http.post("/v1/tasks", content="name=echo", headers={"Content-Type": "text/plain"})
    assert problem(answer)[0] == 415


@pytest.mark.parametrize(
    "path", ["/v1/test-runs/seven", "/v1/endpoints/seven", f"/v1/tasks/{UUID(int=7)}", "/v1/nothing"]
)
def test_an_id_that_names_nothing_is_not_found(client: Client, path: str):
    assert problem(client.http.get(path))[0] == 404


@pytest.mark.parametrize(
    ("option", "code", "attempts"),
    [
        ("--reset-every", "connection_lost", 3),
        ("--garbage-every", "response_not_json", 1),
        ("--error-every", "http_status", 3),
        ("--hang-every", "timeout", 1),
    ],
)
def test_an_answer_that_is_none_is_an_error_with_its_reason(
    client: Client, worker: Worker, shared: Path, *, option: str, code: str, attempts: int
):
    with RecordedEndpoint(shared, option, "2") as endpoint:
        configuration = configure(client, shared, endpoint.url, total=8, per_test_timeout=1)
        run = client.settled(client.execute(configuration))
    assert (run["status"], run["errored"]) == ("partial", 4)
    errors = [result for result in client.results(run["id"]) if result["status"] == "error"]
    assert [result["position"] for result in errors] == [0, 2, 4, 6]
    assert {(result["error"]["code"], result["attempts"]) for result in errors} == {(code, attempts)}
    assert all(len(result["error"]["message"]) > 20 for result in errors)


def test_an_endpoint_that_is_not_there_fails_the_run_and_says_so(client: Client, worker: Worker):
    url = f"http://127.0.0.1:{free_port()}/"
    configuration = client.configure(endpoint={"url": url}, tests=[{"input": "?", "expected": "!"}])
    run = client.settled(client.execute(configuration))
    assert (run["status"], run["errored"]) == ("failed", 1)
    (result,) = client.results(run["id"])
    assert result["error"]["code"] == "connect_failed"


def test_what_answers_late_or_limits_the_rate_is_waited_for(client: Client, worker: Worker, shared: Path):
    with RecordedEndpoint(shared, "--flaky-every", "3", "--rate", "30") as endpoint:
        run = client.settled(client.execute(configure(client, shared, endpoint.url, total=60)))
    assert (run["status"], run["errored"]) == ("completed", 0)
