"""No exchange of the suite with a gateway goes unchecked, but those that are listed with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import conformance
from tests.conformance import UNCHECKED
from tests.contract import ContractBroken
from tests.stack.process import ROOT

OTHER_CLIENTS = re.compile(
    r"aiohttp\.ClientSession|urllib\.request|http\.client|open_connection\(|create_connection\(|import websockets"
)
EVENT = {
    "id": 41,
    "type": "task.pending",
    "subject": "7f1f4c8e",
    "seq": 1,
    "at": "2026-01-05T09:00:00.000000Z",
    "organization_id": "0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c22",
    "data": {"status": "PENDING"},
}
MARK = {"X-Request-Id": "1"}


@pytest.fixture(autouse=True)
def forgetting() -> Iterator[None]:
    """What is broken here is so on purpose."""
    yield
    conformance._broken.clear()


def client(status: int, body: bytes, **headers: str) -> httpx.Client:
    """Of a server that answers the same to everything."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=MARK | headers, content=iter([body]))

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://gateway")


def frame(**changes: Any) -> bytes:
    return f"id: 1\ndata: {json.dumps(EVENT | changes)}\n\n".encode()


def test_only_files_that_are_listed_ask_otherwise_than_with_httpx() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if OTHER_CLIENTS.search(path.read_text()) and path.name not in ("conformance.py", "test_conformance.py")
    }
    assert found == set(UNCHECKED)


def test_an_answer_outside_the_document_fails_the_test_that_got_it() -> None:
    with client(200, b"{}", **{"Content-Type": "application/json"}) as asking, pytest.raises(ContractBroken):
        asking.get("/healthz")
    assert len(conformance._broken) == 1


def test_so_does_one_that_is_read_piece_by_piece() -> None:
    with (
        client(200, b"{}", **{"Content-Type": "application/json"}) as asking,
        asking.stream("GET", "/healthz") as response,
        pytest.raises(ContractBroken),
    ):
        response.read()


@pytest.mark.parametrize(
    "frames",
    [
        frame(type="task.eaten"),
        frame() + frame(seq="2"),
        b'event: eaten\ndata: {"cursor":"1"}\n\n',
        b'event: lagged\ndata: {"pointer":"1"}\n\n',
    ],
)
def test_so_does_an_event_outside_the_document(frames: bytes) -> None:
    with (
        client(200, frames, **{"Content-Type": "text/event-stream"}) as asking,
        asking.stream("GET", "/v1/tasks/1/events") as response,
        pytest.raises(ContractBroken),
    ):
        list(response.iter_lines())


def test_a_stream_in_contract_is_let_through() -> None:
    frames = frame() + b": keep-alive\n\n" + b'event: draining\ndata: {"cursor":"1"}\n\n'
    with (
        client(200, frames, **{"Content-Type": "text/event-stream"}) as asking,
        asking.stream("GET", "/v1/tasks/1/events") as response,
    ):
        assert b"".join(response.iter_bytes()) == frames


@pytest.mark.parametrize("query", ["?colour=red", "?limit=0"])
def test_so_does_a_request_with_a_parameter_outside_the_document_that_was_accepted(query: str) -> None:
    limits = {"RateLimit": '"organization";r=1;t=1', "RateLimit-Policy": '"organization";q=1;w=1'}
    page = json.dumps({"items": [], "next_cursor": None}).encode()
    with client(200, page, **limits, **{"Content-Type": "application/json"}) as asking:
        asking.get("/v1/tasks?limit=1")
        with pytest.raises(ContractBroken):
            asking.get("/v1/tasks" + query)


def test_what_is_no_answer_of_a_gateway_is_not_looked_at() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"is": "an application"}))
    with httpx.Client(transport=transport) as asking:
        assert asking.get("http://application/v1/tasks").is_success
