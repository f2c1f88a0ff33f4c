"""A circuit: when it opens, whom it lets through, and what closes it."""

from __future__ import annotations

import asyncio

from workerapp.contract.reasons import ErrorCode, ErrorReason
from workerapp.execution.circuit import Circuit, CircuitNews
from workerapp.execution.exchange import Answer

UNREACHED = Answer(error=ErrorReason(ErrorCode.CONNECT_FAILED, "no connection"))
SILENT = Answer(error=ErrorReason(ErrorCode.TIMEOUT, "no answer"))
BROKEN = Answer(http_status=500, error=ErrorReason(ErrorCode.HTTP_STATUS, "out of order"))


def noted(circuit: Circuit, *answers: Answer) -> None:
    for answer in answers:
        circuit.note(answer)


async def test_only_failures_to_reach_in_a_row_open_it() -> None:
    circuit = Circuit(3)
    noted(circuit, UNREACHED, UNREACHED, BROKEN, UNREACHED, SILENT, UNREACHED)
    assert (circuit.is_open, await circuit.refusal()) == (False, None)
    circuit.note(UNREACHED)
    refusal = await circuit.refusal()
    assert refusal is not None
    assert (refusal.code, refusal.retryable) == (ErrorCode.CIRCUIT_OPEN, True)
    assert "3 tests in a row could not reach it; the last one: no connection" in refusal.message
    assert circuit.untold is CircuitNews.OPENED


async def test_it_never_opens_if_it_is_not_to() -> None:
    circuit = Circuit(0)
    noted(circuit, *[UNREACHED] * 100)
    assert await circuit.refusal() is None


async def test_when_its_time_is_over_one_tries_and_the_others_wait_for_how_that_ends() -> None:
    news = asyncio.Event()
    circuit = Circuit(1, seconds=0.0, news=news)
    circuit.note(UNREACHED)
    news.clear()
    tests = [asyncio.create_task(circuit.refusal()) for _ in range(3)]
    await asyncio.sleep(0)
    assert (news.is_set(), circuit.has_waiting) == (True, True)
    circuit.let_one_try()
    await asyncio.sleep(0)
    assert [test.done() for test in tests] == [True, False, False]
    circuit.note(BROKEN)
    assert await asyncio.gather(*tests) == [None, None, None]
    assert circuit.untold is CircuitNews.CLOSED


async def test_one_that_fails_to_reach_it_again_opens_it_for_all_who_wait() -> None:
    circuit = Circuit(25)
    reason = ErrorReason(ErrorCode.CIRCUIT_OPEN, "as others found", retryable=True)
    circuit.open(reason, 0.0)
    tests = [asyncio.create_task(circuit.refusal()) for _ in range(2)]
    await asyncio.sleep(0)
    circuit.let_one_try()
    circuit.note(UNREACHED)
    first, second = await asyncio.gather(*tests)
    assert first is None
    assert second is not None
    assert "1 test could not reach it" in second.message


async def test_one_that_gets_no_answer_has_reached_it() -> None:
    circuit = Circuit(25)
    circuit.open(ErrorReason(ErrorCode.CIRCUIT_OPEN, "as others found"), 0.0)
    trying = asyncio.create_task(circuit.refusal())
    await asyncio.sleep(0)
    circuit.let_one_try()
    assert await trying is None
    circuit.note(SILENT)
    assert await circuit.refusal() is None
