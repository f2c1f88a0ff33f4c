"""What a finished run is told as: a table of what went wrong, a summary, one object for programs, an exit status."""

from __future__ import annotations

from itertools import islice
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.failures import ExitStatus
from gateway.cli.plain_text import excerpt
from gateway.cli.watching import RunState
from gateway.client import Subject, SyncGatewayClient, TestResult, TestRun
from workerapp.contract.states import ResultStatus, RunStatus

_CELL, _REASON = 120, 300
_PAGE = 100
_COLORS = {RunStatus.COMPLETED: "green", RunStatus.PARTIAL: "yellow"}


def as_json(state: RunState) -> dict[str, Any]:
    """The object that `--json` prints."""
    rate = state.pass_rate
    return {
        "test_run_id": state.id,
        "status": state.status,
        "total": state.total or 0,
        "passed": state.passed,
        "failed": state.failed,
        "errored": state.errored,
        "cancelled": state.cancelled,
        "unscored": state.unscored,
        "pass_rate": None if rate is None else round(rate, 6),
    }


def exit_status(state: RunState, min_pass_rate: float) -> ExitStatus:
    """OK for a run that completed and passed often enough; a run in which nothing is judged has no rate to reach.

    One that ended early, after as many failures as it may have, has cancelled tests and is not OK.
    """
    if state.status != RunStatus.COMPLETED or state.cancelled:
        return ExitStatus.FAILED
    rate = state.pass_rate
    reached = min_pass_rate <= 0 if rate is None else rate >= min_pass_rate
    return ExitStatus.OK if reached else ExitStatus.FAILED


def print_problems(
    console: Console, client: SyncGatewayClient, run: Subject[TestRun], state: RunState, most: int
) -> None:
    """Print the tests that could not be executed, then the wrong answers; `most` of them altogether."""
    rows = _results(client, run, ResultStatus.ERROR, min(most, state.errored))
    rows += _results(client, run, ResultStatus.FAIL, min(most - len(rows), state.failed))
    if not rows:
        return
    table = Table(box=SIMPLE_HEAD, highlight=False)
    for name, ratio in (("test", None), ("status", None), ("input", 3), ("expected", 2), ("output", 3), ("reason", 3)):
        table.add_column(name, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    left_out = state.errored + state.failed - len(rows)
    if left_out > 0:
        console.print(
            f"… and {left_out} more: {client.server}{run.path}/results?status=error,fail",
            highlight=False,
            soft_wrap=True,
        )


def print_summary(console: Console, state: RunState) -> None:
    """Print the status, the counts and the pass rate."""
    rate = "" if state.pass_rate is None else f" (pass rate {state.pass_rate:.1%})"
    counts = f"{state.passed} passed, {state.failed} failed, {state.errored} errors"
    for number, name in ((state.unscored, "unscored"), (state.cancelled, "cancelled")):
        counts += f", {number} {name}" if number else ""
    line = Text(state.status, style=_COLORS.get(RunStatus(state.status), "red"))
    console.print(line.append(f": {state.total or 0} tests, {counts}{rate}", style="default"), highlight=False)
    if state.reason:
        console.print(Text(excerpt(state.reason, _REASON)))


def print_flaky(console: Console, client: SyncGatewayClient, run: Subject[TestRun]) -> None:
    """Print how many tests passed now and failed then."""
    repeats = client.get_statistics(run).repeats
    if repeats is None:
        return
    told = f"flaky: {repeats['flaky']} of {repeats['tests']} tests"
    always = f"{repeats['always_passed']} always passed, {repeats['always_failed']} always failed"
    console.print(f"{told} ({always})", highlight=False)


def _results(client: SyncGatewayClient, run: Subject[TestRun], status: ResultStatus, most: int) -> list[TestResult]:
    if most <= 0:
        return []
    return list(islice(client.list_results(run, [status.value], page_size=min(_PAGE, most)), most))


def _cells(row: TestResult) -> list[Text]:
    color = "yellow" if row.status == ResultStatus.ERROR else "red"
    return [
        Text(str(row.position + 1) + ("" if row.repeat == 1 else f" (repeat {row.repeat})")),
        Text(row.status, style=color),
        *(_cell(value) for value in (_asked(row), row.expected, _output(row))),
        Text(excerpt(_reason(row), _REASON)),
    ]


def _cell(value: Any) -> Text:
    return Text("" if value is None else excerpt(value, _CELL))


def _asked(row: TestResult) -> Any:
    """The input, or those of the turns."""
    return row.input if row.turns is None else [turn["input"] for turn in row.turns]


def _output(row: TestResult) -> Any:
    """What was judged; what else was mapped out of the response stands beside it."""
    output = row.output
    return output.get("output") if isinstance(output, dict) else output


def _reason(row: TestResult) -> str:
    error, scores = row.error, row.scores
    if error:
        return f"{error['code']}: {error['message']}"
    return str(scores.get("reason") or "") if isinstance(scores, dict) else ""
