"""What `gateway run` makes of streams, of texts from elsewhere, and of a finished run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gateway.cli.outcome import as_json, exit_status, print_summary
from gateway.cli.plain_text import excerpt, printable
from gateway.cli.progress import Lines, LiveBar, display_on
from gateway.cli.watching import RunState


def state(**values: object) -> RunState:
    counts = {"total": 10, "pending": 0, "passed": 9, "failed": 1, "errored": 0, "cancelled": 0, "unscored": 0}
    return RunState(**({"id": "r-1", "status": "completed"} | counts | values))  # type: ignore[arg-type]


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert printable("a\x1b[2Jb\u202ec\x00") == "a\ufffd[2Jb\ufffdc\ufffd"
    assert printable("a\r\nb\u2028c") == "a  b c"


def test_an_excerpt_is_one_short_line() -> None:
    assert excerpt("one\n  two", 20) == "one two"
    assert excerpt("x" * 21, 20) == "x" * 19 + "…"
    assert excerpt({"a": [1, "ä"]}, 20) == '{"a": [1, "ä"]}'


def test_markup_in_a_reason_is_text() -> None:
    out = io.StringIO()
    print_summary(Console(file=out, width=100), state(reason="[bold]no[/bold] [link=x]"))
    assert "[bold]no[/bold] [link=x]" in out.getvalue()


@pytest.mark.parametrize(
    ("values", "rate", "status"),
    [
        ({}, 0.0, 0),
        ({}, 0.9, 0),
        ({}, 0.91, 1),
        ({"passed": 0, "failed": 10}, 0.0, 0),
        ({"status": "partial", "errored": 1, "failed": 0}, 0.0, 1),
        ({"status": "failed", "passed": 0, "failed": 0, "errored": 10}, 0.0, 1),
        ({"status": "cancelled"}, 0.0, 1),
        ({"passed": 8, "failed": 1, "cancelled": 1}, 0.0, 1),
        ({"passed": 0, "failed": 0, "unscored": 10}, 0.0, 0),
        ({"passed": 0, "failed": 0, "unscored": 10}, 0.5, 1),
    ],
)
def test_the_exit_status_tells_whether_the_run_is_good_enough(
    values: dict[str, object], rate: float, status: int
) -> None:
    assert exit_status(state(**values), rate) == status


def test_the_object_for_programs_has_exactly_these_fields() -> None:
    assert as_json(state(passed=2, failed=1, total=3)) == {
        "test_run_id": "r-1",
        "status": "completed",
        "total": 3,
        "passed": 2,
        "failed": 1,
        "errored": 0,
        "cancelled": 0,
        "unscored": 0,
        "pass_rate": 0.666667,
    }


def test_a_log_gets_lines_and_not_every_state() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)
    with display_on(console, 10) as display:
        assert isinstance(display, Lines)
        for passed in range(10):
            display.show(state(status="running", passed=passed, failed=0, total=None if passed == 0 else 10))
        display.show(state())
    assert out.getvalue().splitlines() == [
        "running: 0 tests done, 0 passed, 0 failed, 0 errors",
        "completed: 10 of 10 tests done, 9 passed, 1 failed, 0 errors",
    ]


def test_a_terminal_gets_a_bar() -> None:
    out = io.StringIO()
    with display_on(Console(file=out, width=100, force_terminal=True), 10) as display:
        assert isinstance(display, LiveBar)
        display.show(state(status="running", passed=3))
    assert "3 passed" in out.getvalue()
    assert "4/10" in out.getvalue()
