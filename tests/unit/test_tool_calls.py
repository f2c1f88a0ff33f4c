"""Calls of tools that come in pieces."""

from __future__ import annotations

from typing import Any

import pytest

from workerapp.execution.tool_calls import ToolCalls, with_arguments


def piece(index: int | None, *, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": fields.pop("name")} if "name" in fields else {})
    return {"function": function, **fields} | ({} if index is None else {"index": index})


def together(*events: Any) -> list[dict[str, Any]]:
    calls = ToolCalls()
    for event in events:
        assert calls.add(event)
    return calls.whole()


def test_the_arguments_of_each_call_are_joined_by_its_index() -> None:
    assert together(
        [piece(0, id="a", type="function", name="weather", arguments="")],
        [piece(0, arguments='{"city": ')],
        [piece(1, id="b", type="function", name="time", arguments='{"zo'), piece(0, arguments='"Paris"}')],
        [piece(1, arguments='ne": 1}')],
    ) == [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
        {"id": "b", "type": "function", "function": {"name": "time", "arguments": '{"zone": 1}'}},
    ]


def test_what_a_server_repeats_or_leaves_empty_is_not_joined() -> None:
    first = piece(0, id="a", name="weather", arguments="{")
    assert together([first], [piece(0, id="a", name="weather", arguments="}")], [piece(0, id="", name=None)]) == [
        {"id": "a", "function": {"name": "weather", "arguments": "{}"}}
    ]


def test_a_call_without_an_index_is_whole() -> None:
    call = {"id": "a", "function": {"name": "weather", "arguments": {"city": "Paris"}}}
    assert together([call], [call | {"id": "b"}]) == [call, call | {"id": "b"}]


@pytest.mark.parametrize("value", ["weather", {"index": 0}, ["weather"], [{"name": "weather"}]])
def test_what_is_no_call_is_left_alone(value: Any) -> None:
    calls = ToolCalls()
    assert (calls.add(value), calls.whole()) == (False, [])


def test_arguments_are_read_where_they_are_json() -> None:
    calls = [{"function": {"name": "a", "arguments": '{"n": 1}'}}, {"function": {"arguments": "{"}}, "x", {}]
    assert with_arguments(calls) == [{"function": {"name": "a", "arguments": {"n": 1}}}, *calls[1:]]
    assert with_arguments("x") == "x"
