"""Log lines as JSON, and what they tell of the context that they are written in."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from workerapp.contract.logs import JsonLines, TextLines, add_to_log_context, begin_log_context, end_log_context


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    token = begin_log_context(organization_id="mine", user_id=None)
    yield
    end_log_context(token)


def line(**extra: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "some.library", "msg": "%s", "args": ("event",), **extra})
    told: dict[str, Any] = json.loads(JsonLines().format(record))
    return {name: value for name, value in told.items() if name not in ("time", "level", "logger", "event")}


def test_a_line_tells_what_its_context_is_about_and_nothing_that_there_is_none_of() -> None:
    add_to_log_context(task_id="1", test_run_id=None)
    assert line() == {"organization_id": "mine", "task_id": "1"}


def test_what_a_line_says_itself_wins() -> None:
    assert line(organization_id="theirs", status=200) == {"organization_id": "theirs", "status": 200}


def test_a_context_within_another_tells_nothing_of_that_one_and_gives_it_back() -> None:
    token = begin_log_context(task_id="1")
    assert line() == {"task_id": "1"}
    end_log_context(token)
    assert line() == {"organization_id": "mine"}


def test_another_thread_is_in_no_context() -> None:
    told: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: told.append(line()))
    thread.start()
    thread.join()
    assert told == [{}]


def test_lines_for_people_stay_short() -> None:
    assert TextLines().format(logging.makeLogRecord({"msg": "event", "status": 200})).endswith("event status=200")
