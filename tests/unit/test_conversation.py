"""A test's turns: what judges each of them, what later ones see, and what is stored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.judging import METRICS
from workerapp.contract.reasons import ErrorCode, ErrorReason, Timeout
from workerapp.execution.conversation import Criteria, Step, plan_steps, read_transcript, transcript
from workerapp.execution.exchange import Answer, Question

RUN, TEST = UUID(int=1), UUID(int=2)
EQUALS = {"type": "equals"}


def final(*metrics: dict[str, Any], expected: Any = None) -> Criteria:
    return Criteria(metrics=METRICS.validate_python(metrics), expected=expected)


def planned(last: Criteria, turns: Any = None, asked: Any = None) -> list[Step]:
    return plan_steps(asked, turns, last, METRICS.validate_python)


def judged_by(steps: Any) -> list[list[tuple[int | None, Any, list[str]]]]:
    return [[(one.turn, one.expected, [m.type for m in one.metrics]) for one in step.criteria] for step in steps]


def test_a_test_without_turns_is_one_step() -> None:
    assert judged_by(planned(final(EQUALS, expected="b"), asked="a")) == [[(None, "b", ["equals"])]]


def test_each_turn_is_judged_by_its_own_and_the_last_by_the_tests_metrics_too() -> None:
    turns = [{"input": "a", "expected": "1", "assertions": [{"type": "is_json"}]}, {"input": "b", "expected": "2"}]
    steps = planned(final(EQUALS, expected="3"), turns)
    assert [step.input for step in steps] == ["a", "b"]
    assert judged_by(steps) == [[(1, "1", ["is_json"])], [(2, "2", []), (None, "3", ["equals"])]]
    assert judged_by(planned(final(EQUALS), turns))[1][1] == (None, "2", ["equals"])


def test_a_status_is_an_answer_to_the_turn_that_asks_for_it() -> None:
    refused = Answer(http_status=422, error=ErrorReason(ErrorCode.HTTP_STATUS, "no"))
    turns = [{"input": "a", "assertions": [{"type": "http_status", "codes": [422]}]}, {"input": "b"}]
    assert [step.can_judge(refused) for step in planned(final(EQUALS), turns)] == [True, False]
    by_test = final({"type": "http_status", "codes": [400]})
    assert [step.can_judge(refused) for step in planned(by_test, turns)] == [True, True]


def test_a_turn_sees_what_was_said_before_it() -> None:
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    question = Question(test_id=TEST, test_run_id=RUN, input="c", history=said, turn=2)
    variables = question.variables(system="Be brief.")
    assert (variables["input"], variables["turn"]) == ("c", 2)
    assert variables["messages"] == [
        {"role": "system", "content": "Be brief."},
        *said,
        {"role": "user", "content": "c"},
    ]
    assert (
        variables["conversation_id"]
        == Question(test_id=TEST, test_run_id=RUN, input="x").variables()["conversation_id"]
    )
    named = Question(test_id=TEST, test_run_id=RUN, input="c", conversation_id=7)
    assert named.variables()["conversation_id"] == 7


def test_a_system_message_of_the_first_turn_holds_for_all() -> None:
    said = [{"role": "system", "content": "Be long."}, {"role": "user", "content": "a"}]
    question = Question(test_id=TEST, test_run_id=RUN, input="c", history=said, turn=2)
    assert question.variables(system="Be brief.")["messages"] == [*said, {"role": "user", "content": "c"}]


def test_a_transcript_can_be_read_again() -> None:
    steps = planned(final(), [{"input": "a"}, {"input": "b"}, {"input": "c"}])
    timed_out = ErrorReason(ErrorCode.TIMEOUT, "late", retryable=True, timeout=Timeout.TEST)
    answers = [
        Answer(output={"n": 1}, extra={"usage": 3}, http_status=200, latency_ms=1.5),
        Answer(latency_ms=2.5, error=timed_out),
    ]
    told = transcript(steps, answers)
    assert [turn["input"] for turn in told] == ["a", "b"]
    assert (told[0]["usage"], told[1]["error"]["timeout"]) == (3, "test")
    assert read_transcript(told) == answers


def test_a_mapped_field_does_not_stand_in_for_what_a_transcript_tells() -> None:
    steps = planned(final(), [{"input": "a"}])
    (told,) = transcript(steps, [Answer(output="b", extra={"input": "x", "attempts": "y"}, attempts=1)])
    assert (told["input"], told["attempts"]) == ("a", 1)
