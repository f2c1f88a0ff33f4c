"""Files of tests: what lines and rows mean, and that no line has to fit in memory."""

from __future__ import annotations

import io
from typing import Any

import pytest

from gateway.records import JSON_LINES, TABLE, Format, Lines, RecordInvalid


def read(form: Format, content: str | bytes, most: int = 1000, **names: str) -> list[Any]:
    """For each record the fields of its test, or the line and what is wrong with it."""
    raw = content if isinstance(content, bytes) else content.encode()
    found: list[Any] = []
    for record in form.read(Lines(io.BytesIO(raw), most)):
        try:
            found.append((record.line, record.fault) if record.fault else form.fields(record.fields, names))
        except RecordInvalid as error:
            found.append((record.line, str(error)))
    return found


def test_other_fields_are_passed_over_and_names_can_differ() -> None:
    line = '{"question": "a", "answer": 7, "level": 3}\n'
    assert read(JSON_LINES, line, input="question", expected="answer") == [{"input": "a", "expected": 7}]


def test_columns_with_json_hold_what_a_text_cannot() -> None:
    table = (
        "input,input_json,expected_json,tags,metadata,metadata.level,assertions\n"
        'a,,"""""","x, y z,","{""n"": 1}",3,"[{""type"": ""equals""}]"\n'
        ',"[{""role"": ""user""}]",7,,,,\n'
    )
    assert read(TABLE, table) == [
        {
            "input": "a",
            "expected": "",
            "tags": ["x", "y z"],
            "metadata": {"n": 1, "level": "3"},
            "assertions": [{"type": "equals"}],
        },
        {"input": [{"role": "user"}], "expected": 7},
    ]


def test_a_test_has_turns_in_place_of_an_input() -> None:
    lines = (
        '{"turns": [{"input": "a"}], "expected": 1}\n{"input": null, "turns": [{"input": "b"}]}\n{"question": "c"}\n'
    )
    assert read(JSON_LINES, lines, input="question") == [
        {"turns": [{"input": "a"}], "expected": 1},
        {"turns": [{"input": "b"}]},
        {"input": "c"},
    ]
    assert read(JSON_LINES, '{"script": [1]}\n{"input": "a"}\n', turns="script") == [{"turns": [1]}, {"input": "a"}]
    table = 'turns,expected\n"[{""input"": ""a""}]",1\nx,2\n'
    assert read(TABLE, table) == [
        {"turns": [{"input": "a"}], "expected": "1"},
        (3, "turns: this is not JSON: expected value at line 1 column 1"),
    ]


def test_names_of_columns_can_differ() -> None:
    table = 'question,labels\na,"x,y"\n'
    assert read(TABLE, table, input="question", tags="labels") == [{"input": "a", "tags": ["x", "y"]}]


def test_what_is_wrong_with_a_line_does_not_hide_the_next() -> None:
    content = (
        b'{"input": "a"\n\n[1]\n{"input": "\xff"}\n{"input": "' + b"x" * 1000 + b'"}\n{"question": 1}\n{"input": "b"}'
    )
    assert read(JSON_LINES, content) == [
        (1, "this is not JSON: EOF while parsing an object at column 13"),
        (3, "this is not an object"),
        (4, "this is not UTF-8 (byte 12)"),
        (5, "this is longer than 1000 bytes"),
        (6, "there is no field 'input'; there are 'question'"),
        {"input": "b"},
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("input,input\na,b\n", (1, "the head has 'input' more than once")),
        ('input\n"a\nb', (3, "this is not CSV: unexpected end of data")),
        ("input,metadata\na,{\n", (2, "metadata: this is not JSON: EOF while parsing an object at line 1 column 1")),
        ("input,expected\na\n", (2, "there are 1 cells, and 2 in the head")),
        ("question\na\n", (2, "there is no field 'input'; there are 'question'")),
        ('input\n"' + "x\n" * 600, (501, "this is longer than 1000 bytes")),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_line(table: str, said: tuple[int, str]) -> None:
    assert read(TABLE, table) == [said]


def test_a_row_of_many_lines_ends_where_its_quotes_do() -> None:
    assert read(TABLE, 'input,expected\r\n"a\r\n""b""\n",c\r\nd,\r\n') == [
        {"input": 'a\r\n"b"\n', "expected": "c"},
        {"input": "d"},
    ]
