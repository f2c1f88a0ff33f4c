"""What the client knows of gateways, and what it keeps to itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from gateway.client import (
    AddressInvalid,
    Conflict,
    CursorExpired,
    Event,
    Forbidden,
    GatewayClient,
    Invalid,
    NotAGateway,
    NotFound,
    Patience,
    RateLimited,
    RequestRefused,
    ServerFailed,
    ServerUnreachable,
    SyncGatewayClient,
    Unauthorized,
    Unavailable,
    models,
)
from gateway.client import errors as client_errors
from gateway.client.patience import Attempts, Contact
from gateway.errors import ApiError, problem
from gateway.routes import routes
from tests.stack.process import ROOT
from workerapp.contract.events import TERMINAL_TYPES, EventType
from workerapp.contract.states import FINAL_RUN_STATUSES, FINAL_TASK_STATES

#: As what each status of a problem is raised.
KINDS = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: CursorExpired,
    429: RateLimited,
    500: ServerFailed,
    503: Unavailable,
}


def all_errors(kind: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from all_errors(child)


def as_answered(error: ApiError) -> httpx.Response:
    answered = problem(error, "request-1")
    request = httpx.Request("GET", "http://gateway/v1/tasks?token=tst_secret")
    return httpx.Response(answered.status_code, content=answered.body, headers=dict(answered.headers), request=request)


def test_every_problem_of_the_gateway_is_raised_as_its_kind_with_all_it_says() -> None:
    assert routes(), "whatever can be raised is defined behind them"
    kinds = [kind for kind in all_errors() if "code" in vars(kind)]
    assert len(kinds) > 40
    for kind in kinds:
        error = ApiError.__new__(kind)
        ApiError.__init__(error, "It is so.", headers={"Retry-After": "7"})
        raised = client_errors.error_of(as_answered(error))
        assert isinstance(raised, RequestRefused), kind
        assert isinstance(raised, KINDS.get(kind.status, Invalid)), kind
        assert (raised.code, raised.problem.status, str(raised)) == (kind.code, kind.status, "It is so.")
        assert (raised.problem.request_id, raised.retry_after) == ("request-1", 7.0)
        assert raised.may_pass is (kind.status in {429, 503} or kind.code == "idempotency_key_in_use"), kind


@pytest.mark.parametrize("detail", ["It is too long.", "/args/0: It is too long. And 1 more."])
def test_the_sentences_of_all_faults_are_in_the_message_once(detail: str) -> None:
    faults = [{"pointer": "/args/0", "detail": "It is too long."}, {"detail": "It is too late."}]
    body = {"status": 422, "code": "validation_failed", "detail": detail, "errors": faults}
    response = httpx.Response(422, json=body, request=httpx.Request("GET", "http://gateway/"))
    assert str(client_errors.error_of(response)) == f"{detail}\nIt is too late."


@pytest.mark.parametrize(
    ("status", "kind"), [(200, NotAGateway), (404, NotAGateway), (302, NotAGateway), (502, ServerUnreachable)]
)
def test_what_is_no_gateway_is_named_without_the_query(status: int, kind: type[Exception]) -> None:
    response = httpx.Response(
        status, text="<html>", request=httpx.Request("GET", "http://elsewhere/x?token=tst_secret")
    )
    raised = client_errors.foreign(response)
    assert type(raised) is kind
    assert "http://elsewhere/x answered HTTP" in str(raised)
    assert "tst_" not in str(raised)


def test_a_moment_to_come_back_is_understood_too() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    response = httpx.Response(503, headers={"Retry-After": at}, request=httpx.Request("GET", "http://gateway/"))
    assert 20 < (client_errors.error_of(response).retry_after or 0) <= 30
    response.headers["Retry-After"] = "soon"
    assert client_errors.error_of(response).retry_after is None


def test_attempts_end_with_the_failure_when_there_was_enough_patience() -> None:
    gone, known = ServerUnreachable("gone"), Contact(was_reached=True)
    assert Attempts(60.0, known).pause_after(gone) > 0
    for attempts in (Attempts(0.0, known), Attempts(60.0, Contact())):
        with pytest.raises(ServerUnreachable):
            attempts.pause_after(gone)
    gone.retry_after = 61.0
    with pytest.raises(ServerUnreachable):
        Attempts(60.0, known).pause_after(gone)
    with pytest.raises(NotAGateway):
        Attempts(60.0, known).pause_after(NotAGateway("other"))


def test_it_knows_when_something_has_ended_as_the_gateway_does() -> None:
    assert (models.FINAL_TASK_STATES, models.FINAL_RUN_STATUSES) == (FINAL_TASK_STATES, FINAL_RUN_STATUSES)
    for kind in set(EventType) - {EventType.SNAPSHOT}:
        event = Event(id=1, type=kind, subject="s", seq=1, at=datetime.now(UTC), organization_id="o", data={})
        assert event.is_last is (kind in TERMINAL_TYPES), kind


def test_the_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = SyncGatewayClient("http://127.0.0.1:9", "tsg_secret", patience=Patience(outage=0))
    with client, pytest.raises(ServerUnreachable) as raised:
        client.get_task("x")
    shown = [repr(client), str(raised.value), repr(raised.value), repr(raised.value.__cause__), caplog.text]
    shown += [repr(vars(client)), repr(client._line)]
    assert "tsg_secret" not in "".join(shown)


@pytest.mark.parametrize(
    ("server", "key", "said"),
    [
        ("", "tsg_x", "looks like http://127.0.0.1:8080"),
        ("ftp://gateway", "tsg_x", "is not the address of a server"),
        ("http://me:secret@gateway", "tsg_x", "has a name or password in it"),
        ("http://gateway", "tsg_x\n", "characters that no key has"),
        ("http://gateway", "", "is missing"),
    ],
)
def test_an_address_or_a_key_that_is_none_is_refused(
    server: str, key: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_URL", raising=False)
    monkeypatch.delenv("GATEWAY_API_KEY", raising=False)
    with pytest.raises(AddressInvalid, match=said):
        GatewayClient(server, key)


def test_server_and_key_come_from_the_environment_if_they_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "http://gateway/")
    monkeypatch.setenv("GATEWAY_API_KEY", "tsg_x")
    assert (SyncGatewayClient().server, GatewayClient().server) == ("http://gateway", "http://gateway")


def test_both_clients_offer_the_same() -> None:
    offered = [{name for name in dir(kind) if not name.startswith("_")} for kind in (GatewayClient, SyncGatewayClient)]
    assert offered[0] == offered[1]
    assert "submit_task" in offered[0]


def test_it_needs_nothing_of_the_worker() -> None:
    script = """
import sys, gateway.client
foreign = {"celery", "kombu", "sqlalchemy", "starlette", "psycopg", "asyncpg", "workerapp", "jinja2", "yaml"}
own = {name for name in sys.modules if name.startswith("gateway.") and not name.startswith("gateway.client")}
print(sorted(foreign & set(sys.modules) | own))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
