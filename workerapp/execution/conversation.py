"""What a test asks, turn by turn: asked one after another, each with what was said before, and told as a transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from workerapp.contract.json_values import as_json, as_text
from workerapp.contract.metric import MetricBase
from workerapp.contract.metrics import HttpStatus
from workerapp.contract.reasons import ErrorCode, ErrorReason, Timeout
from workerapp.execution.exchange import Answer, Question, as_messages
from workerapp.execution.target import Target

#: Where the output of a test of several turns has its transcript.
TURNS = "turns"
#: The mapped field that tells what the application calls the conversation.
CONVERSATION_ID = "conversation_id"

#: Reads metrics as they are stored.
ReadMetrics: TypeAlias = Callable[[Sequence[Any]], Sequence[MetricBase]]
#: What a transcript tells of each turn beside what else was mapped.
_OWN = frozenset({"input", "output", "latency_ms", "http_status", "attempts", "error"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    """What judges an answer: metrics, and the value they expect; `turn` if they are those of a single turn."""

    metrics: Sequence[MetricBase]
    expected: Any = None
    turn: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One turn: what is asked, and what judges the answer to it."""

    input: Any
    criteria: Sequence[Criteria]

    def can_judge(self, answer: Answer) -> bool:
        """Whether there is something to judge: an output, or a status that a metric asks for.

        A status that may go away by itself (408, 5xx) is an error still, unless one of the metrics names it.
        """
        if answer.error is None:
            return True
        metrics = [metric for criteria in self.criteria for metric in criteria.metrics]
        named = {code for metric in metrics if isinstance(metric, HttpStatus) for code in metric.codes}
        if answer.error.code is not ErrorCode.HTTP_STATUS or not named:
            return False
        return answer.http_status in named or not answer.error.retryable


def plan_steps(
    asked: Any, turns: Sequence[Mapping[str, Any]] | None, final: Criteria, read_metrics: ReadMetrics
) -> list[Step]:
    """The turns of a test, in order; the last one is judged by `final`, too.

    Where that expects nothing, it expects what the last turn does.
    """
    if turns is None:
        return [Step(input=asked, criteria=(final,))]
    steps = [
        Step(input=turn["input"], criteria=(_criteria(turn, number, read_metrics),))
        for number, turn in enumerate(turns, start=1)
    ]
    last = steps[-1]
    if final.expected is None:
        final = replace(final, expected=turns[-1].get("expected"))
    return [*steps[:-1], replace(last, criteria=(*last.criteria, final))]


async def converse(target: Target, question: Question, steps: Sequence[Step]) -> list[Answer]:
    """Ask one turn after another, in the time of one test; the answers, up to the first that nothing can judge.

    Later turns see what was said before: the inputs, and the outputs as the assistant's messages. An input that the
    application refused is left out, for it is no part of the conversation.
    """
    if len(steps) == 1:
        return [await target.ask(replace(question, input=steps[0].input))]
    deadline, room = target.deadline(), target.limits.conversation_length
    answers: list[Answer] = []
    for number, step in enumerate(steps, start=1):
        question = replace(question, input=step.input, turn=number)
        answer = await target.ask(question, deadline=deadline)
        room -= len(as_json([answer.output, *answer.extra.values()]))
        if room < 0:
            answer = _too_long(answer, target.limits.conversation_length)
        answers.append(answer)
        if not step.can_judge(answer):
            break
        question = _go_on(question, answer)
    return answers


def conversations(steps: Sequence[Step], answers: Sequence[Answer]) -> Iterator[Any]:
    """What was asked for each answer: the input alone, or of several turns the messages up to this turn's."""
    history: list[dict[str, Any]] = []
    for step, answer in zip(steps, answers, strict=False):
        yield step.input if len(steps) == 1 else [*history, *as_messages(step.input)]
        history = _heard(history, step.input, answer)


def transcript(steps: Sequence[Step], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The turns that were asked, as they are stored."""
    return [_told(step, answer) for step, answer in zip(steps, answers, strict=False)]


def read_transcript(turns: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """The answers in a stored transcript."""
    return [_read(turn) for turn in turns]


def name_turn(error: ErrorReason, turn: int) -> ErrorReason:
    """The same reason, which says in which turn it was."""
    return replace(error, message=f"turn {turn}: {error.message}")


def _criteria(turn: Mapping[str, Any], number: int, read_metrics: ReadMetrics) -> Criteria:
    metrics = read_metrics(turn.get("assertions", []))
    return Criteria(metrics=metrics, expected=turn.get("expected"), turn=number)


def _go_on(question: Question, answer: Answer) -> Question:
    if answer.error is not None:
        return question
    named = answer.extra.get(CONVERSATION_ID)
    return replace(
        question,
        history=_heard(question.history, question.input, answer),
        conversation_id=question.conversation_id if named is None else named,
    )


def _heard(history: Sequence[dict[str, Any]], asked: Any, answer: Answer) -> list[dict[str, Any]]:
    """The messages so far, with what was asked and said now; what the application refused was never said."""
    if answer.error is not None:
        return [*history]
    return [*history, *as_messages(asked), {"role": "assistant", "content": as_text(answer.output)}]


def _too_long(answer: Answer, most: int) -> Answer:
    message = f"the answers to the turns of this test have more than {most} characters together"
    error = ErrorReason(ErrorCode.RESPONSE_TOO_LARGE, message)
    return replace(answer, output=None, extra={}, error=error)


def _told(step: Step, answer: Answer) -> dict[str, Any]:
    told = {
        **answer.extra,
        "input": step.input,
        "output": answer.output,
        "latency_ms": answer.latency_ms,
        "http_status": answer.http_status,
        "attempts": answer.attempts,
    }
    return told if answer.error is None else told | {"error": answer.error.as_json()}


def _read(turn: Mapping[str, Any]) -> Answer:
    error = turn.get("error")
    return Answer(
        output=turn["output"],
        extra={name: value for name, value in turn.items() if name not in _OWN},
        http_status=turn["http_status"],
        latency_ms=turn["latency_ms"],
        error=None if error is None else _reason(error),
    )


def _reason(error: Mapping[str, Any]) -> ErrorReason:
    timeout = error.get("timeout")
    return ErrorReason(
        ErrorCode(error["code"]), error["message"], error["retryable"], None if timeout is None else Timeout(timeout)
    )
