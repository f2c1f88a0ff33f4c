"""Following a stream over several connections, without any: what is asked and given, when it comes back or gives up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.client import (
    Event,
    NotAGateway,
    NotFound,
    Patience,
    RateLimited,
    ServerUnreachable,
    StreamUnavailable,
    Unauthorized,
)
from gateway.client.errors import GatewayError
from gateway.client.following import Following
from gateway.client.frames import Frame, FrameReader
from gateway.client.line import Line

SERVER = "http://127.0.0.1:1"


def following(*, outage: float = 60.0, was_reached: bool = True, **options: Any) -> Following:
    line = Line(SERVER, "tsg_key", Patience(outage=outage))
    line.contact.was_reached = was_reached
    return Following(line, "/v1/test-runs/r/events", **options)


def event(seq: int, kind: str = "test_run.progress", **data: object) -> bytes:
    envelope = {
        "id": seq + 100,
        "type": kind,
        "subject": "r",
        "seq": seq,
        "at": "2026-11-22T09:24:43.897452Z",
        "organization_id": "o",
        "data": data,
    }
    return b"id: %d\ndata: %b\n\n" % (seq, json.dumps(envelope).encode())


def seqs(events: Iterator[Event]) -> list[int]:
    return [one.seq for one in events]


def cursor_of(stream: Following) -> str | None:
    return stream.request()["headers"].get("Last-Event-ID")


def answer(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=body, headers=named, request=httpx.Request("GET", SERVER))


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return answer(status, json.dumps({"status": status, "code": code, "detail": f"It is {code}."}).encode(), **headers)


STREAM = (
    b'retry: 300\n\n: hello\n\nid: 1\ndata: {"a":"\xe2\x80\xa8"}\n\n'
    b"id: 2\n\nevent: reset\r\ndata: x\r\ndata: y\r\n\r\nid: 3\ndata: cut"
)
FRAMES = [
    Frame(None, "message", None, 300),
    Frame(None, "message", None),
    Frame("1", "message", '{"a":"\u2028"}'),
    Frame("2", "message", None),
    Frame(None, "reset", "x\ny"),
]


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_a_stream_reads_the_same_however_it_is_cut(size: int) -> None:
    reader = FrameReader()
    chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [frame for chunk in chunks for frame in reader.feed(chunk)] == FRAMES


def test_wherever_the_connection_breaks_no_event_is_missed_and_none_is_given_twice() -> None:
    whole = [event(seq) for seq in (1, 2)] + [event(3, "test_run.completed", status="completed")]
    length = len(b"".join(whole))
    for cut in range(length):
        stream = following(after="0")
        assert cursor_of(stream) is None
        given = seqs(stream.take(b"".join(whole)[:cut]))
        stream.pause(ServerUnreachable("cut"))
        resumed = cursor_of(stream)
        given += seqs(stream.take(b"".join(whole[int(resumed or 0) :])))
        assert given == [1, 2, 3], cut
        assert stream.is_over()


def test_the_first_connection_asks_where_to_begin_and_the_next_for_what_comes_behind() -> None:
    stream = following(after="earliest", parameters={"types": ["task.*"]}, has_end=False)
    first = stream.request()
    assert (first["params"], "Last-Event-ID" in first["headers"]) == ({"types": ["task.*"], "after": "earliest"}, False)
    list(stream.take(event(7)))
    assert cursor_of(stream) == "7"


def test_an_id_alone_moves_the_cursor_and_is_no_event() -> None:
    stream = following()
    assert list(stream.take(event(1) + b"id: 5\n\n"))[-1].seq == 1
    assert cursor_of(stream) == "5"


def test_an_event_has_the_cursor_behind_it() -> None:
    assert [one.cursor for one in following().take(event(1) + event(2))] == ["1", "2"]


def test_after_a_reset_the_snapshot_says_that_something_is_missing() -> None:
    stream = following(after="9")
    assert list(stream.take(b'event: reset\ndata: {"cursor":"9"}\n\n')) == []
    assert cursor_of(stream) is None, (
        "the connection broke before the snapshot came: the gateway is asked the same again"
    )
    told = list(
        stream.take(b'event: reset\ndata: {"cursor":"9"}\n\n' + event(3, "snapshot", status="running") + event(4))
    )
    assert [(one.type, one.follows_gap) for one in told] == [("snapshot", True), ("test_run.progress", False)]
    assert cursor_of(stream) == "4"


@pytest.mark.parametrize(
    ("kind", "status", "is_over"),
    [
        ("test_run.partial", "partial", True),
        ("task.succeeded", "SUCCESS", True),
        ("run_group.cancelled", "cancelled", True),
        ("snapshot", "completed", True),
        ("snapshot", "REVOKED", True),
        ("snapshot", "running", False),
        ("test_result.finished", "fail", False),
        ("task.progress", "PROGRESS", False),
    ],
)
def test_the_last_event_of_a_subject_ends_its_stream_and_no_stream_of_an_organization(
    kind: str, status: str, *, is_over: bool
) -> None:
    for has_end in (True, False):
        stream = following(has_end=has_end)
        list(stream.take(event(1, kind, status=status)))
        assert stream.is_over() is (is_over and has_end)


def test_an_answer_without_content_is_the_end() -> None:
    stream = following(after="3")
    assert stream.accepts(answer(204)) is False
    assert stream.is_over()


def test_it_comes_back_when_the_gateway_says() -> None:
    stream = following()
    list(stream.take(b"retry: 4000\n\n" + event(1)))
    assert stream.pause(None) == 4
    stream.request()
    list(stream.take(b'retry: 8000\nevent: draining\ndata: {"cursor":"1"}\n\n'))
    assert stream.pause(None) == 8


def test_one_that_lagged_comes_back_at_once_if_it_got_on() -> None:
    stream = following()
    list(stream.take(event(1) + b'event: lagged\ndata: {"cursor":"1"}\n\n'))
    assert stream.pause(None) == 0
    stream.request()
    list(stream.take(b'event: lagged\ndata: {"cursor":"1"}\n\n'))
    assert stream.pause(None) == 1, "nothing came this time"


def test_pauses_grow_while_nothing_comes_and_are_short_again_when_something_did() -> None:
    stream = following()
    pauses = []
    for _ in range(8):
        stream.request()
        pauses.append(stream.pause(ServerUnreachable("gone")))
    assert pauses[4] > 4 * pauses[0]
    assert max(pauses) <= 15
    stream.request()
    list(stream.take(b"id: 1\n\n"))
    assert stream.pause(ServerUnreachable("gone")) == 1


@pytest.mark.parametrize(
    "failure", [ServerUnreachable("gone"), None], ids=["no connection", "streams in which there is nothing"]
)
def test_patience_ends_with_the_failure(failure: GatewayError | None) -> None:
    stream = following(outage=0.0)
    stream.request()
    with pytest.raises(ServerUnreachable):
        stream.pause(failure)


def test_a_server_that_never_was_there_is_not_waited_for() -> None:
    with pytest.raises(ServerUnreachable):
        following(was_reached=False).pause(ServerUnreachable("gone"))
    known = following(was_reached=False)
    list(known.take(b"id: 1\n\n"))
    assert known.pause(ServerUnreachable("gone")) > 0


def test_a_refusal_that_may_pass_is_waited_out_as_long_as_the_gateway_asks() -> None:
    stream = following()
    refused = stream.refuse(problem(429, "too_many_streams", Retry_After="20"))
    assert isinstance(refused, RateLimited)
    assert stream.pause(refused) == 20
    with pytest.raises(RateLimited):
        following(outage=10.0).pause(refused)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (problem(401, "key_invalid"), Unauthorized),
        (problem(404, "not_found"), NotFound),
        (answer(200, b"<html>", Content_Type="text/html"), NotAGateway),
        (answer(302, b"elsewhere"), NotAGateway),
    ],
)
def test_what_cannot_pass_is_raised_at_once(response: httpx.Response, error: type[Exception]) -> None:
    stream = following()
    assert stream.accepts(response) is False
    with pytest.raises(error):
        stream.pause(stream.refuse(response))


def test_one_that_does_not_insist_leaves_a_gateway_without_streams() -> None:
    stream = following(insists=False)
    with pytest.raises(StreamUnavailable) as raised:
        stream.pause(stream.refuse(problem(503, "streams_full")))
    assert str(raised.value) == "It is streams_full."
    assert following(insists=False).pause(ServerUnreachable("gone")) > 0


def test_a_stream_is_left_in_time_for_questions() -> None:
    assert following(within=30.0).is_over(), "it may be silent for longer than that"
    stream = following(within=40.5)
    assert not stream.is_over()
    list(stream.take(b"retry: 60000\n\nid: 1\n\n"))
    assert stream.pause(None) <= 0.5
    assert stream.is_over()
