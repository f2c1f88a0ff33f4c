"""Tests of several turns against a real HTTP application: what it is asked, and what comes of the test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from tests.integration.test_target import TEST_ID, output, serving, status, target, trials
from tests.stack.application import Application, application
from workerapp.contract.specs import ConfigurationSpec
from workerapp.execution.target import TargetLimits
from workerapp.execution.trial import LeasedTest

EQUALS = {"type": "equals"}
CHAT = {"request": {"messages": "{{ messages }}", "turn": "{{ turn }}"}}
IN_CONVERSATION = {
    "request": {"input": "{{ input }}", "conversation": "{{ conversation_id }}"},
    "response": {"output": "$.output", "conversation_id": "$.conversation"},
}


def turn(asked: Any, expected: Any = None, *assertions: dict[str, Any]) -> dict[str, Any]:
    return {"input": asked, "expected": expected, "assertions": list(assertions)}


async def execute(
    url: str,
    *turns: dict[str, Any],
    expected: Any = None,
    assertions: tuple[dict[str, Any], ...] = (),
    spec: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """The row of one test that was executed."""
    test = LeasedTest(id=TEST_ID, input=None, turns=turns, expected=expected, assertions=assertions, metadata={})
    configuration = ConfigurationSpec.model_validate(spec or {})
    async with target(url, **(CHAT | fields)) as asked:
        return await trials(asked, configuration).execute(test)


async def test_each_turn_sees_what_was_said_before() -> None:
    second = [{"role": "user", "content": "and"}, {"role": "user", "content": "c?"}]
    async with serving(output("b"), web.json_response({"output": {"n": 1}}), output("d")) as site:
        row = await execute(site.url, turn("a?"), turn(second), turn("e?"), system="Be brief.")
    assert [json.loads(body)["turn"] for body in site.bodies] == [1, 2, 3]
    assert json.loads(site.bodies[2])["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": "b"},
        *second,
        {"role": "assistant", "content": '{"n":1}'},
        {"role": "user", "content": "e?"},
    ]
    assert (row["status"], row["output"]["output"], row["attempts"]) == ("unscored", "d", 3)
    assert [(told["input"], told["output"]) for told in row["output"]["turns"]] == [
        ("a?", "b"),
        (second, {"n": 1}),
        ("e?", "d"),
    ]
    assert row["latency_ms"] == row["output"]["turns"][2]["latency_ms"]


@pytest.fixture
def app():
    with application() as running:
        yield running


async def test_the_conversation_goes_by_the_name_that_the_application_gives_it(app: Application) -> None:
    turns = turn("say a"), turn("say b"), turn("recall", "say a; say b", EQUALS)
    row = await execute(app.url, *turns, **IN_CONVERSATION)
    assert (row["status"], app.conversations) == ("pass", {"conversation 1": ["say a", "say b", "recall"]})
    assert row["output"]["conversation_id"] == row["output"]["turns"][0]["conversation_id"] == "conversation 1"


async def test_without_a_name_of_its_own_the_conversation_keeps_ours() -> None:
    fields = {"request": {"id": "{{ conversation_id }}"}}
    async with serving(output("a")) as site:
        await execute(site.url, turn("a"), turn("b"), **fields)
        await execute(site.url, turn("a"), **fields)
    assert len(set(site.bodies)) == 1


async def test_every_turn_is_judged_and_the_test_fails_with_the_first_that_is_wrong() -> None:
    turns = turn("1", "one", EQUALS), turn("2", "two", EQUALS), turn("3", "three", {"type": "contains"})
    async with serving(output("one"), output("2"), output("three")) as site:
        row = await execute(site.url, *turns, spec={"metrics": [{"type": "starts_with", "value": "th"}]})
    assert (row["status"], row["error"], len(site.bodies)) == ("fail", None, 3)
    assert [(one["turn"], one["type"], one["passed"]) for one in row["scores"]["scores"]] == [
        (1, "equals", True),
        (2, "equals", False),
        (3, "contains", True),
        (None, "starts_with", True),
    ]
    assert row["scores"]["reason"] == "turn 2: equals: expected 'two', the output is '2'"
    assert row["scores"]["score"] == 0.75


@pytest.mark.parametrize(("expected", "compared"), [("last", "last"), (None, "three")])
async def test_the_metrics_of_the_test_judge_the_last_answer(expected: Any, compared: str) -> None:
    async with serving(output("x"), output(compared)) as site:
        row = await execute(*(site.url, turn("1", "one"), turn("2", "three")), expected=expected, assertions=(EQUALS,))
    assert (row["status"], len(row["scores"]["scores"])) == ("pass", 1)


async def test_an_error_ends_the_conversation_and_says_in_which_turn() -> None:
    async with serving(output("one"), status(500, "out of order")) as site:
        row = await execute(site.url, turn("1", "x", EQUALS), turn("2"), turn("3"), max_attempts=2)
    assert (row["status"], row["scores"], row["http_status"], row["attempts"]) == ("error", None, 500, 3)
    assert row["error"]["message"] == "turn 2: the endpoint answered HTTP 500: out of order"
    assert "output" not in row["output"]
    first, second = row["output"]["turns"]
    assert (first["output"], second["output"], second["error"]["code"]) == ("one", None, "http_status")


async def test_a_turn_that_is_tried_again_repeats_no_other() -> None:
    async with serving(output("one"), status(500), output("two")) as site:
        row = await execute(site.url, turn("1"), turn("2"))
    assert [json.loads(body)["turn"] for body in site.bodies] == [1, 2, 2]
    assert ([told["attempts"] for told in row["output"]["turns"]], row["attempts"]) == ([1, 2], 3)


async def test_a_refusal_that_a_turn_asks_for_is_no_part_of_the_conversation() -> None:
    refusal = {"type": "http_status", "codes": [422]}
    async with serving(status(422, "not that"), output("two")) as site:
        row = await execute(site.url, turn("1", None, refusal, {"type": "contains", "value": "x"}), turn("2"))
    assert json.loads(site.bodies[1])["messages"] == [{"role": "user", "content": "2"}]
    assert [one["passed"] for one in row["scores"]["scores"]] == [True, False]
    assert row["output"]["turns"][0]["error"]["message"] == "the endpoint answered HTTP 422: not that"


async def test_a_status_that_the_configuration_asks_for_is_meant_for_the_last_turn() -> None:
    spec = {"metrics": [{"type": "http_status", "codes": [422]}]}
    async with serving(output("one"), status(422)) as site:
        assert (await execute(site.url, turn("1"), turn("2"), spec=spec))["status"] == "pass"
    async with serving(status(422), output("two")) as site:
        assert (await execute(site.url, turn("1"), turn("2"), spec=spec))["status"] == "error"


async def test_the_time_of_a_test_is_that_of_its_whole_conversation() -> None:
    def slow(text: str, seconds: float) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(seconds)
            return output(text)

        return answer

    async with serving(slow("one", 1), slow("two", 1.5)) as site:
        row = await execute(site.url, turn("1"), turn("2"), turn("3"), per_test_timeout=2)
    assert (row["error"]["code"], row["error"]["timeout"], len(site.bodies)) == ("timeout", "test", 2)
    assert row["error"]["message"].startswith("turn 2: the test's 2 seconds were over in attempt 1")
    assert [told["output"] for told in row["output"]["turns"]] == ["one", None]


async def test_a_conversation_that_has_no_time_left_asks_nothing_more() -> None:
    async with serving(output("one"), status(429, Retry_After="60")) as site:
        row = await execute(site.url, turn("1"), turn("2"), turn("3"), per_test_timeout=5)
    assert (row["error"]["code"], row["attempts"], len(site.bodies)) == ("rate_limited", 1, 2)


async def test_answers_that_are_too_long_together_end_the_conversation() -> None:
    limits = TargetLimits(conversation_length=2000)
    async with serving(output("x" * 900)) as site:
        row = await execute(site.url, turn("1"), turn("2"), turn("3"), turn("4"), limits=limits)
    assert (row["error"]["code"], len(site.bodies)) == ("response_too_large", 3)
    assert (
        row["error"]["message"]
        == "turn 3: the answers to the turns of this test have more than 2000 characters together"
    )


async def test_answers_that_are_long_together_are_judged_the_same() -> None:
    turns = [turn(str(number), None, {"type": "starts_with", "value": "x"}) for number in range(6)]
    async with serving(output("x" * 1000)) as site:
        row = await execute(site.url, *turns)
    assert (row["status"], len(row["scores"]["scores"])) == ("pass", 6)
