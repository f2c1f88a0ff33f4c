"""Applications that stream their answer as server-sent events, and the times that are kept."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.integration.test_target import ask, code, hang, output, question, serving, status, target
from workerapp.contract.reasons import ErrorCode, Timeout
from workerapp.execution.exchange import Answer

CHAT = {"preset": "openai_chat", "model": "small", "request": None}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def streaming(*chunks: bytes, then: Handler | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            await then(request)
        return response

    return handle


def events(*values: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def delta(text: str | None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}}]}


async def ask_stream(handler: Any, **fields: Any) -> Answer:
    async with serving(handler) as site:
        return await ask(site.url, **({"stream": True, "response": {"output": "$.text", "id": "$.id"}} | fields))


async def test_pieces_of_a_stream_are_joined_and_of_other_fields_the_last_counts() -> None:
    sent = events({"id": 1}, {"text": "Be"}, {"text": "cause", "id": None}, {"text": 4, "id": 2}) + b"data: [DONE]\n\n"
    answer = await ask_stream(streaming(sent, then=hang))
    assert (answer.output, answer.error, answer.http_status) == ("Because4", None, 200)
    assert answer.extra["id"] == 2
    assert answer.latency_ms is not None
    assert 0 < answer.extra["time_to_first_token_ms"] <= answer.latency_ms


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_events_may_be_cut_anywhere_and_lines_end_in_any_way(end: bytes) -> None:
    lines = [
        "\ufeff: comment",
        "event: x",
        "id: 1",
        'data: {"text":',
        'data:"Wöy ☃"}',
        "",
        "data: {}",
        "",
        "retry: 5",
        "",
    ]
    sent = end.join(line.encode() for line in lines) + end
    answer = await ask_stream(streaming(*(sent[i : i + 1] for i in range(len(sent)))))
    assert (answer.output, answer.error) == ("Wöy ☃", None)


async def test_stream_of_texts_needs_no_paths() -> None:
    answer = await ask_stream(streaming(b"data: Hello\n\ndata:  world\n\ndata: [DONE]\n\n"), response="text")
    assert answer.output == "Hello world"


@pytest.mark.parametrize(
    ("sent", "expected", "said"),
    [
        (events({"text": "a"}, {"error": {"message": "overloaded"}}), ErrorCode.RESPONSE_INVALID, "overloaded"),
        (b"event: error\ndata: overloaded\n\n", ErrorCode.RESPONSE_INVALID, "overloaded"),
        (events({"id": 1}), ErrorCode.OUTPUT_MISSING, "no event of its stream has anything of the output"),
        (b"", ErrorCode.OUTPUT_MISSING, "no event of its stream"),
        (b"data: <html>\n\n", ErrorCode.RESPONSE_NOT_JSON, "<html>"),
        (b'data: {"text": ' + b"[" * 90_000 + b"]" * 90_000 + b"}\n\n", ErrorCode.RESPONSE_INVALID, "too deeply"),
        (events({"text": "a" * 200_000}), ErrorCode.RESPONSE_TOO_LARGE, "more than 190000 bytes"),
        (b"x" * 200_000, ErrorCode.RESPONSE_TOO_LARGE, "more than 190000 bytes"),
    ],
)
async def test_stream_without_an_answer_is_an_error(sent: bytes, expected: ErrorCode, said: str) -> None:
    answer = await ask_stream(streaming(sent), max_response_bytes=190_000)
    assert (code(answer), answer.output) == (expected, None)
    assert answer.error is not None
    assert said in answer.error.message


async def test_answer_that_is_no_stream_is_an_error_that_quotes_it() -> None:
    answer = await ask_stream(output("whole"))
    assert code(answer) is ErrorCode.RESPONSE_INVALID
    assert answer.error is not None
    assert 'application/json and not with a stream of events: {"output": "whole"}' in answer.error.message


async def test_refusal_of_a_stream_is_told_by_its_status() -> None:
    answer = await ask_stream(status(403, "blocked by safeguarding"))
    assert (code(answer), answer.http_status) == (ErrorCode.HTTP_STATUS, 403)


async def test_stream_that_breaks_off_is_tried_again() -> None:
    async def abort(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(streaming(events({"text": "half"}), then=abort), streaming(events({"text": "whole"}))) as site:
        answer = await ask(site.url, stream=True, response={"output": "$.text"})
    assert (answer.output, answer.attempts) == ("whole", 2)


async def test_openai_chat_needs_a_url_and_a_model() -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "4"}}], "usage": {"total_tokens": 9}}
    async with serving(web.json_response(body)) as site:
        answer = await ask(site.url, **CHAT, system="Be brief.")
    assert (answer.output, answer.extra) == ("4", {"usage": {"total_tokens": 9}})
    assert json.loads(site.bodies[0]) == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    }


async def test_openai_chat_streams_with_usage() -> None:
    usage = {"choices": [], "usage": {"total_tokens": 9}}
    sent = events(delta(""), delta("Be"), delta("cause."), delta(None), usage) + b"data: [DONE]\n\n"
    async with serving(streaming(sent)) as site:
        answer = await ask(site.url, **(CHAT | {"stream": True, "request": {"temperature": 0}}))
    assert answer.output == "Because."
    assert answer.extra["usage"] == {"total_tokens": 9}
    assert json.loads(site.bodies[0]) == {
        "model": "small",
        "messages": [{"role": "user", "content": "Why?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
    }


def calling(*pieces: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": None, "tool_calls": list(pieces)}}]}


async def test_openai_chat_streams_calls_of_tools() -> None:
    sent = events(
        calling({"index": 0, "id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}}),
        calling({"index": 0, "function": {"arguments": '{"city": '}}),
        calling({"index": 0, "function": {"arguments": '"Paris"}'}}),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    )
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    async with serving(streaming(sent + b"data: [DONE]\n\n")) as site:
        streamed = await ask(site.url, **CHAT, stream=True)
    assert (streamed.output, streamed.error, streamed.extra["tool_calls"]) == ("", None, [call])
    assert streamed.extra["time_to_first_token_ms"] > 0
    for message in ({"content": None, "tool_calls": [call]}, {"tool_calls": [call]}):
        async with serving(web.json_response({"choices": [{"message": message}]})) as site:
            whole = await ask(site.url, **CHAT)
        assert (whole.output, whole.extra) == ("", {"tool_calls": [call]})


async def test_an_answer_without_text_and_without_calls_has_no_output() -> None:
    async with serving(web.json_response({"choices": [{"message": {"tool_calls": []}}]})) as site:
        assert code(await ask(site.url, **CHAT)) is ErrorCode.OUTPUT_MISSING
    async with serving(streaming(events(calling()))) as site:
        assert code(await ask(site.url, **CHAT, stream=True)) is ErrorCode.OUTPUT_MISSING


async def test_system_message_of_a_test_has_precedence() -> None:
    conversation = [{"role": "system", "content": "Be long."}, {"role": "user", "content": "Why?"}]
    fields = {"request": "{{ messages }}", "system": "Be brief."}
    async with serving(output("a")) as site, target(site.url, **fields) as asked:
        await asked.ask(question(conversation))
    assert json.loads(site.bodies[0]) == conversation


def timeout_of(answer: Answer) -> Timeout | None:
    assert answer.error is not None
    return answer.error.timeout


async def test_silence_before_the_answer_is_told_from_slowness_in_it() -> None:
    async with serving(hang) as site:
        silent = await ask(site.url, first_byte_timeout=0.2, max_attempts=1)
    slow = await ask_stream(
        streaming(events({"text": "a"}), then=hang), timeout=0.4, first_byte_timeout=0.3, max_attempts=1
    )
    assert (code(silent), timeout_of(silent)) == (ErrorCode.TIMEOUT, Timeout.FIRST_BYTE)
    assert (code(slow), timeout_of(slow)) == (ErrorCode.TIMEOUT, Timeout.TOTAL)
    assert silent.error is not None
    assert "did not begin to answer within 0.2 seconds" in silent.error.message
    assert silent.error.as_json()["timeout"] == "first_byte"


async def test_stream_begins_with_its_first_piece() -> None:
    answer = await ask_stream(streaming(events({"id": 1}), then=hang), first_byte_timeout=0.2, max_attempts=1)
    assert timeout_of(answer) is Timeout.FIRST_BYTE


async def test_end_of_the_tests_time_is_told_apart() -> None:
    async with serving(hang) as site:
        assert timeout_of(await ask(site.url, per_test_timeout=0.2)) is Timeout.TEST


async def test_connection_that_does_not_come_is_told_apart() -> None:
    # The kernel takes the connection and nobody says anything, so that the handshake of TLS never ends.
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        answer = await ask(url, connect_timeout=0.2, max_attempts=1)
    assert (code(answer), timeout_of(answer)) == (ErrorCode.CONNECT_FAILED, Timeout.CONNECT)
