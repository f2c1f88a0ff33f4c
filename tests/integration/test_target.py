"""Asking a real HTTP server: retries, rate limits, time, sizes, faults, and walls that hold at the socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from tests.scripted_names import script_names
from tests.shared_data import json_lines, shared_folder
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.reasons import ErrorCode
from workerapp.contract.specs import ConfigurationSpec, EndpointSpec
from workerapp.contract.template import VARIABLES
from workerapp.execution.credentials import TokenCache
from workerapp.execution.exchange import Answer, Question
from workerapp.execution.judges.panel import Panel
from workerapp.execution.judging import Judging
from workerapp.execution.metrics.finding import JudgingLimits
from workerapp.execution.rate import LATE_SECONDS
from workerapp.execution.target import Target, TargetLimits
from workerapp.execution.trial import LeasedTest, Trials

LOOPBACK = OutboundPolicy.parse("127.0.0.0/8")
QUICK = TargetLimits(backoff_seconds=0.01, shortest_hold_seconds=0.01)
TEST_ID, RUN_ID = uuid4(), uuid4()


@dataclass
class Site:
    """A server whose answers are scripted; the last one repeats."""

    answers: list[web.Response | Callable[[web.Request], Awaitable[web.StreamResponse]]]
    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.times.append(time.monotonic())
        self.arrived.set()
        self.requests.append(request)
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        self.bodies.append(await request.text())
        answer = self.answers[min(len(self.times), len(self.answers)) - 1]
        return _copy(answer) if isinstance(answer, web.Response) else await answer(request)


def _copy(answer: web.Response) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


@asynccontextmanager
async def serving(*answers: Any, host: str = "127.0.0.1") -> AsyncIterator[Site]:
    site = Site(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    site.url = f"http://{host}:{runner.addresses[0][1]}/ask"
    try:
        yield site
    finally:
        await runner.cleanup()


def output(text: str) -> web.Response:
    return web.json_response({"output": text})


def status(code: int, body: str = "", **headers: str) -> web.Response:
    return web.Response(status=code, text=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def target(
    url: str,
    *,
    policy: OutboundPolicy = LOOPBACK,
    per_test_timeout: float = 20.0,
    tokens: TokenCache | None = None,
    limits: TargetLimits = QUICK,
    **fields: Any,
) -> Target:
    spec = EndpointSpec.model_validate({"name": "site", "url": url, "request": {"q": "{{ input }}"}} | fields)
    return Target(spec, policy, per_test_timeout=per_test_timeout, limits=limits, tokens=tokens)


def question(text: Any = "Why?", **fields: Any) -> Question:
    return Question(input=text, test_id=TEST_ID, test_run_id=RUN_ID, **fields)


def trials(asked: Target, configuration: ConfigurationSpec) -> Trials:
    """Trials that nobody judges but arithmetic."""

    async def nobody(_: UUID) -> EndpointSpec:
        raise AssertionError

    limits = JudgingLimits()
    return Trials(asked, Judging(configuration, limits, Panel(nobody, LOOPBACK, limits, QUICK)), RUN_ID)


async def ask(url: str, **fields: Any) -> Answer:
    async with target(url, **fields) as asked:
        return await asked.ask(question())


def code(answer: Answer) -> ErrorCode | None:
    return None if answer.error is None else answer.error.code


async def test_answer_is_mapped_and_the_request_is_rendered() -> None:
    async with serving(web.json_response({"a": [{"text": "Because."}], "tokens": 3})) as site:
        asked = target(
            site.url,
            method="PUT",
            headers={"authorization": "Bearer abc"},
            request={
                "text": "{{ input }}",
                "all": "{{ messages }}",
                "n": "{{ metadata.n }}",
                "run": "{{ test_run_id }}",
            },
            response={"output": "$.a[0].text", "tokens": "$.tokens"},
        )
        async with asked:
            answer = await asked.ask(question("Wöy?", metadata={"n": 3}))
    assert (answer.output, answer.extra, answer.http_status, answer.attempts) == ("Because.", {"tokens": 3}, 200, 1)
    assert answer.error is None
    assert answer.latency_ms is not None
    assert answer.latency_ms > 0
    assert json.loads(site.bodies[0]) == {
        "text": "Wöy?",
        "all": [{"role": "user", "content": "Wöy?"}],
        "n": 3,
        "run": str(RUN_ID),
    }
    assert site.requests[0].method == "PUT"
    assert site.requests[0].headers["Authorization"] == "Bearer abc"
    assert site.requests[0].content_type == "application/json"
    assert json.loads(json.dumps(answer.as_json()))["output"] == "Because."


async def test_own_content_type_replaces_the_default_in_any_case() -> None:
    async with serving(output("a")) as site:
        await ask(site.url, headers={"content-type": "application/vnd.api+json"})
    assert site.requests[0].headers.getall("Content-Type") == ["application/vnd.api+json"]


async def test_conversation_is_sent_as_messages_and_its_last_user_message_as_input() -> None:
    conversation = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "x"},
    ]
    async with serving(output("a")) as site, target(site.url, request=["{{ messages }}", "{{ input }}"]) as asked:
        await asked.ask(question(conversation))
    assert json.loads(site.bodies[0]) == [conversation, "second"]


async def test_get_sends_the_request_as_query() -> None:
    async with serving(output("a")) as site:
        await ask(site.url + "?fixed=1", method="GET", request={"q": "{{ input }} & so", "n": 2})
    assert dict(site.requests[0].query) == {"fixed": "1", "q": "Why? & so", "n": "2"}
    assert site.bodies == [""]


async def test_every_field_of_the_response_is_mapped_by_its_own_path() -> None:
    body = {"choices": [{"text": "Hi.", "tools": [{"name": "f"}]}], "docs": ["d1"], "session": "s-1", "usage": {"n": 3}}
    mapping = {
        "output": "$.choices[0].text",
        "context": "$.docs",
        "tool_calls": "$.choices[0].tools",
        "conversation_id": "$.session",
        "usage": "$.usage",
        "our own": "$.docs[0]",
        "absent": "$.nowhere",
    }
    async with serving(web.json_response(body)) as site:
        answer = await ask(site.url, response=mapping)
    assert answer.output == "Hi."
    assert answer.extra == {
        "context": ["d1"],
        "tool_calls": [{"name": "f"}],
        "conversation_id": "s-1",
        "usage": {"n": 3},
        "our own": "d1",
    }


@pytest.mark.parametrize(
    ("body", "content_type", "read"),
    [
        (b"Because.\n", "text/plain; charset=utf-8", "Because.\n"),
        ("Wöy".encode("latin-1"), "text/plain; charset=iso-8859-1", "Wöy"),
        ("Wöy".encode(), "text/plain; charset=nonsense", "Wöy"),
        (b'{"a": 1}', "application/json", '{"a": 1}'),
        (b"a\x00\xff", "text/plain", "a\ufffd\ufffd"),
    ],
)
async def test_whole_body_may_be_the_output(body: bytes, content_type: str, read: str) -> None:
    async with serving(web.Response(body=body, headers={"Content-Type": content_type})) as site:
        answer = await ask(site.url, response="text")
    assert (answer.output, answer.error) == (read, None)
    assert site.requests[0].headers["Accept"] == "text/plain, */*"


async def test_query_and_headers_are_templates_too() -> None:
    fields = {
        "query": {"user": "{{ metadata.user }} & co", "n": 2},
        "headers": {"X-Key": "sk-{{ input }}"},
        "templated_headers": {"X-Conversation": "{{ conversation_id }}", "accept": "text/{{ metadata.user }}"},
    }
    async with serving(output("a")) as site, target(site.url + "?fixed=1", **fields) as asked:
        await asked.ask(question(metadata={"user": "ann"}))
        await asked.ask(question(metadata={"user": "ann"}))
        await asked.ask(Question(input="x", test_id=uuid4(), test_run_id=RUN_ID, metadata={"user": "ann"}))
    assert dict(site.requests[0].query) == {"fixed": "1", "user": "ann & co", "n": "2"}
    assert site.requests[0].headers.getall("Accept") == ["text/ann"]
    assert site.requests[0].headers["X-Key"] == "sk-{{ input }}"
    conversations = [request.headers["X-Conversation"] for request in site.requests]
    assert conversations[0] == conversations[1] != conversations[2]


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\0b", "snow ☃"])
async def test_header_that_cannot_be_sent_is_an_error_and_nothing_is_sent(text: str) -> None:
    async with serving(output("a")) as site, target(site.url, templated_headers={"X-Input": "{{ input }}"}) as asked:
        answer = await asked.ask(question(text))
    assert (code(answer), site.times) == (ErrorCode.TEMPLATE_FAILED, [])
    assert answer.error is not None
    assert "header 'X-Input'" in answer.error.message


async def test_expected_answer_never_reaches_the_endpoint() -> None:
    test = LeasedTest(id=TEST_ID, input="1 + 1", expected="the-answer-is-2", assertions=[], metadata={"topic": "sums"})
    everything = {name: "{{ " + name + " }}" for name in sorted(VARIABLES)}
    configuration = ConfigurationSpec.model_validate({"metrics": [{"type": "equals"}]})
    async with serving(output("the-answer-is-2")) as site, target(site.url, request=everything) as asked:
        row = await trials(asked, configuration).execute(test)
    assert row["status"] == "pass"
    assert "the-answer-is-2" not in site.bodies[0] + str(site.requests[0].headers) + str(site.requests[0].url)
    assert "sums" in site.bodies[0]


@pytest.mark.parametrize("failing", [408, 500, 502, 503, 504])
async def test_server_error_is_tried_again(failing: int) -> None:
    async with serving(status(failing), status(failing), output("at last")) as site:
        answer = await ask(site.url)
    assert (answer.output, answer.attempts, answer.error) == ("at last", 3, None)


async def test_server_error_that_stays_is_reported_with_status_and_body() -> None:
    async with serving(status(500, "<b>out of\n   memory</b>")) as site:
        answer = await ask(site.url, max_attempts=2)
    assert (len(site.times), answer.attempts, answer.http_status, answer.output) == (2, 2, 500, None)
    assert answer.error is not None
    assert answer.error.as_json() == {
        "code": "http_status",
        "message": "the endpoint answered HTTP 500: <b>out of memory</b>",
        "retryable": True,
    }


@pytest.mark.parametrize("refusing", [400, 401, 404, 422])
async def test_client_error_is_final(refusing: int) -> None:
    async with serving(status(refusing)) as site:
        answer = await ask(site.url)
    assert (len(site.times), answer.attempts, answer.http_status, code(answer)) == (
        1,
        1,
        refusing,
        ErrorCode.HTTP_STATUS,
    )


@pytest.mark.parametrize("limited", [429, 503])
async def test_retry_after_uses_up_no_attempt(limited: int) -> None:
    turned_away = [status(limited, Retry_After="0") for _ in range(5)]
    async with serving(*turned_away, output("at last")) as site:
        answer = await ask(site.url, max_attempts=1)
    assert (answer.output, answer.attempts, len(site.times)) == ("at last", 1, 6)


async def test_429_without_retry_after_is_an_attempt() -> None:
    async with serving(status(429)) as site:
        answer = await ask(site.url, max_attempts=2)
    assert (answer.attempts, answer.http_status, len(site.times)) == (2, 429, 2)


async def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    async with serving(status(429, Retry_After=date), output("at last")) as site:
        answer = await ask(site.url, max_attempts=1)
    assert answer.output == "at last"
    assert site.times[1] - site.times[0] > 0.5


async def test_wait_longer_than_the_test_has_time_is_an_error_at_once() -> None:
    async with (
        serving(status(429, "slow down", Retry_After="60")) as site,
        target(site.url, per_test_timeout=5) as asked,
    ):
        began = time.monotonic()
        first, second = await asked.ask(question()), await asked.ask(question())
    assert time.monotonic() - began < 4
    assert len(site.times) == 1
    assert (code(first), first.http_status, code(second), second.attempts) == (
        *(ErrorCode.RATE_LIMITED, 429),
        *(ErrorCode.RATE_LIMITED, 0),
    )
    assert first.error is not None
    assert "HTTP 429: slow down" in first.error.message


async def test_requests_per_second_are_kept() -> None:
    async with serving(output("a")) as site, target(site.url, requests_per_second=50) as asked:
        begun = time.monotonic()
        await asyncio.gather(*(asked.ask(question()) for _ in range(21)))
    assert site.times[-1] - begun >= 20 / 50 - LATE_SECONDS


async def test_silence_is_a_timeout_when_the_test_is_out_of_time() -> None:
    async with serving(hang) as site:
        answer = await ask(site.url, per_test_timeout=0.3)
    assert (code(answer), answer.attempts, answer.http_status) == (ErrorCode.TIMEOUT, 1, None)
    assert answer.latency_ms is not None
    assert answer.latency_ms >= 250


async def test_request_that_takes_too_long_is_tried_again() -> None:
    async with serving(hang, output("a")) as site:
        answer = await ask(site.url, timeout=0.2)
    assert (answer.output, answer.attempts) == ("a", 2)


async def test_body_that_drips_for_ever_is_a_timeout() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)  # The drip itself, not a wait for something.

    async with serving(drip) as site:
        answer = await ask(site.url, timeout=0.3, max_attempts=1)
    assert (code(answer), answer.attempts) == (ErrorCode.TIMEOUT, 1)


async def test_cancelling_ends_the_request() -> None:
    gone = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        try:
            return await hang(request)
        finally:
            gone.set()

    async with serving(wait) as site, target(site.url) as asked:
        asking = asyncio.create_task(asked.ask(question()))
        await asyncio.wait_for(site.arrived.wait(), 5)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(gone.wait(), 5)


async def test_closed_port_is_a_failed_connection_after_all_attempts() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = await ask(f"http://127.0.0.1:{port}/")
    assert (code(answer), answer.attempts) == (ErrorCode.CONNECT_FAILED, 3)
    assert answer.error is not None
    assert f"127.0.0.1:{port}" in answer.error.message


async def test_name_that_does_not_resolve_is_a_failed_connection() -> None:
    answer = await ask("http://nowhere.invalid/", max_attempts=1)
    assert code(answer) is ErrorCode.CONNECT_FAILED
    assert answer.error is not None
    assert "nowhere.invalid does not resolve" in answer.error.message


async def test_plain_http_behind_https_is_a_failed_connection() -> None:
    async with serving(output("a")) as site:
        answer = await ask(site.url.replace("http:", "https:"), max_attempts=1)
    assert code(answer) is ErrorCode.CONNECT_FAILED


async def test_dropped_connection_is_tried_again_and_counts() -> None:
    async with serving(output("a"), reset, output("b"), reset) as site, target(site.url) as asked:
        answers = [await asked.ask(question()) for _ in range(3)]
    assert [(answer.output, answer.attempts) for answer in answers] == [("a", 1), ("b", 2), (None, 3)]
    assert code(answers[2]) is ErrorCode.CONNECTION_LOST


async def test_what_is_not_http_is_an_invalid_response() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        answer = await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", max_attempts=1)
    assert code(answer) is ErrorCode.RESPONSE_INVALID


@pytest.mark.parametrize(
    "body", ["<html>not json", "", '{"output": NaN}', '{"output": ', '{"output": "\xff"}'.encode("latin-1")]
)
async def test_response_that_is_not_json_is_an_error_that_quotes_it(body: str | bytes) -> None:
    async with serving(web.Response(body=body)) as site:
        answer = await ask(site.url)
    assert (code(answer), answer.attempts, answer.http_status) == (ErrorCode.RESPONSE_NOT_JSON, 1, 200)
    assert answer.error is not None
    assert str(body)[:5].strip("b'") in answer.error.message


async def test_response_nested_too_deeply_is_an_error() -> None:
    async with serving(web.Response(body='{"output": ' + "[" * 100_000 + "]" * 100_000 + "}")) as site:
        answer = await ask(site.url)
    assert code(answer) is ErrorCode.RESPONSE_INVALID


async def test_missing_output_is_an_error_that_names_the_path() -> None:
    async with serving(web.json_response({"error": "busy"})) as site:
        answer = await ask(site.url)
    assert (code(answer), answer.http_status) == (ErrorCode.OUTPUT_MISSING, 200)
    assert answer.error is not None
    assert answer.error.message == (
        'the endpoint answered HTTP 200 but there is no value at $.output in the response: {"error": "busy"}'
    )


async def test_failing_template_is_an_error_and_nothing_is_sent() -> None:
    async with serving(output("a")) as site:
        answer = await ask(site.url, request="{{ metadata.missing }}")
    assert (code(answer), answer.attempts, site.times) == (ErrorCode.TEMPLATE_FAILED, 0, [])


@pytest.mark.parametrize("length", [None, 10_000_000])
async def test_response_over_the_limit_is_an_error(length: int | None) -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = length
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 100_000)
        return response

    async with serving(large) as site:
        answer = await ask(site.url, max_response_bytes=1000)
    assert code(answer) is ErrorCode.RESPONSE_TOO_LARGE


async def test_response_of_exactly_the_limit_is_read() -> None:
    body = json.dumps({"output": "x" * 100_000})
    async with serving(web.Response(body=body)) as site:
        assert code(await ask(site.url, max_response_bytes=len(body))) is None
        assert code(await ask(site.url, max_response_bytes=len(body) - 1)) is ErrorCode.RESPONSE_TOO_LARGE


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("failing", [200, 500])
async def test_compressed_response_is_read_and_a_bomb_is_never_in_memory(
    encoding: str, compress: Callable[..., bytes], failing: int
) -> None:
    small, bomb = compress(b'{"output": "a"}'), compress(b" " * 200_000_000)
    bodies = [
        web.Response(body=body, headers={"Content-Encoding": encoding}, status=code)
        for body, code in ((small, 200), (bomb, failing))
    ]
    async with serving(*bodies) as site, target(site.url, max_attempts=1) as asked:
        tracemalloc.start()
        try:
            answers = [await asked.ask(question()), await asked.ask(question())]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answers[0].output == "a"
    assert code(answers[1]) is (ErrorCode.RESPONSE_TOO_LARGE if failing == 200 else ErrorCode.HTTP_STATUS)
    assert peak < 40_000_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "nonsense"])
async def test_response_in_an_encoding_that_was_not_asked_for_is_an_error(encoding: str) -> None:
    body = gzip.compress(gzip.compress(b" " * 100_000))
    async with serving(web.Response(body=body, headers={"Content-Encoding": encoding})) as site:
        answer = await ask(site.url, max_attempts=1)
    assert code(answer) in {ErrorCode.RESPONSE_NOT_JSON, ErrorCode.RESPONSE_INVALID}


async def test_redirect_is_an_error_and_is_not_followed() -> None:
    async with serving(output("secret")) as other, serving(status(302, Location=other.url)) as site:
        answer = await ask(site.url)
    assert (code(answer), answer.http_status, answer.attempts, other.times) == (ErrorCode.HTTP_STATUS, 302, 1, [])
    assert answer.error is not None
    assert "redirects are not followed" in answer.error.message


async def test_cookies_are_not_kept() -> None:
    async with serving(status(500, Set_Cookie="a=b; Path=/"), output("a")) as site:
        # By name: a jar keeps no cookies of a bare address anyway.
        await ask(site.url.replace("127.0.0.1", "localhost"))
    assert len(site.requests) == 2
    assert "Cookie" not in site.requests[1].headers


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(output("a")) as site:
        assert (await ask(site.url)).output == "a"


async def test_secrets_are_left_out_of_messages() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        key = request.headers["X-Key"]
        return status(
            401, f"bad key {key}, bad {request.headers['Authorization']}, bad {request.query['token']}" + key * 40
        )

    headers = {"Authorization": "Bearer abcdef123456", "X-Key": "sk-verysecret"}
    async with serving(echo) as site:
        answer = await ask(site.url + "?token=querysecret", headers=headers)
    assert answer.error is not None
    assert "bad key ***, bad ***, bad ***" in answer.error.message
    assert not any(part in repr(answer) for part in ("abcdef", "sk-very", "querysecret"))
    assert len(answer.error.message) < 300


async def test_output_holds_nothing_a_database_refuses() -> None:
    body = '{"output": {"a\\u0000": ["\\ud800", 1e999, "fine \\ud83d\\ude00"]}}'
    async with serving(web.Response(body=body)) as site:
        answer = await ask(site.url)
    assert answer.output == {"a\ufffd": ["\ufffd", "inf", "fine 😀"]}


async def test_connections_are_reused() -> None:
    async with serving(output("a"), status(500, "x" * 50_000), output("a")) as site, target(site.url) as asked:
        for _ in range(10):
            await asked.ask(question())
    assert len(site.times) == 11
    assert len(site.peers) == 1


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_refused_url_is_an_error_and_nothing_is_sent(name: str) -> None:
    async with serving(output("a")) as site:
        answer = await ask(site.url.replace("127.0.0.1", name), policy=OutboundPolicy())
    assert (code(answer), answer.attempts, site.times) == (ErrorCode.REFUSED_URL, 0, [])
    assert answer.error is not None
    assert "GATEWAY_OUTBOUND_ALLOW" in answer.error.message


def named_target(url: str, name: str, **limits: Any) -> Target:
    """The one that answers at 127.0.0.2, by a name."""
    asked = target(url.replace("127.0.0.2", name), policy=OutboundPolicy.parse("127.0.0.2"), max_attempts=1)
    asked._limits = TargetLimits(**limits)
    return asked


async def test_name_that_turns_to_a_refused_address_is_refused_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    names = script_names(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    async with (
        serving(status(200, '{"output": "a"}', Connection="close"), host="127.0.0.2") as site,
        named_target(site.url, "rebind.example", dns_seconds=0, keepalive_seconds=1) as asked,
    ):
        first, second = [await asked.ask(question()) for _ in range(2)]
    assert first.output == "a"
    assert code(second) is ErrorCode.REFUSED_URL
    assert names.script == []


async def test_name_is_resolved_once_and_what_was_checked_is_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    names = script_names(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    async with (
        serving(status(200, '{"output": "a"}', Connection="close"), host="127.0.0.2") as site,
        named_target(site.url, "once.example") as asked,
    ):
        answers = [await asked.ask(question()) for _ in range(5)]
    assert {answer.output for answer in answers} == {"a"}
    assert len(names.script) == 1


async def test_recorded_models_answer_a_hundred_at_a_time() -> None:
    folder = shared_folder()
    questions = [row["question"] for row in json_lines(folder / "data" / "gsm8k" / "questions.jsonl")][:300]
    tool = folder / "tools" / "recorded_endpoint.py"
    faults = ("--flaky-every", "7", "--error-every", "10", "--garbage-every", "11")
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(tool), "--port", "0", *faults, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        line = (await asyncio.wait_for(server.stdout.readline(), 20)).decode()
        answers = await ask_recorded(line.split()[-1], questions)
    finally:
        server.terminate()
        await server.wait()
    expected = [_expected_outcome(index) for index in range(len(questions))]
    assert [(code(answer), answer.attempts) for answer in answers] == expected


def _expected_outcome(index: int) -> tuple[ErrorCode | None, int]:
    if index % 10 == 0:
        return ErrorCode.HTTP_STATUS, 3
    if index % 11 == 0:
        return ErrorCode.RESPONSE_NOT_JSON, 1
    return None, 2 if index % 7 == 0 else 1


async def ask_recorded(url: str, questions: list[str]) -> list[Answer]:
    request = {"model": "6b_finetuning", "messages": "{{ messages }}"}
    response = {"output": "$.choices[0].message.content"}
    async with target(f"{url}/v1/chat/completions", request=request, response=response) as asked:
        waiting = asyncio.Semaphore(100)

        async def one(text: str) -> Answer:
            async with waiting:
                return await asked.ask(question(text))

        return await asyncio.gather(*(one(text) for text in questions))
