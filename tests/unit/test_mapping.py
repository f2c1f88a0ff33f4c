"""Response mapping: the first match of each JSONPath, and paths that are refused because they could be expensive."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from workerapp.contract.mapping import MappedResponse, MappingFailed, MappingInvalid, compile_mapping

CHAT = {"choices": [{"message": {"content": "42", "role": "assistant"}}], "usage": {"total_tokens": 7}, "none": None}


@pytest.mark.parametrize(
    ("path", "document", "output"),
    [
        ("$.choices[0].message.content", CHAT, "42"),
        ("$['choices'][-1]['message']['content']", CHAT, "42"),
        ("$..content", CHAT, "42"),
        ("$.choices[*].message.content", CHAT, "42"),
        ("$.choices[?@.message.role == 'assistant'].message.content", CHAT, "42"),
        (
            "$.output[?@.type=='message'].content[0].text",
            {"output": [{"type": "r"}, {"type": "message", "content": [{"text": "t"}]}]},
            "t",
        ),
        ("$.usage", CHAT, {"total_tokens": 7}),
        ("$.none", CHAT, None),
        ("$", "only a text", "only a text"),
        ("$", [1], [1]),
        ("$[1:]", [1, 2, 3], 2),
        ("$[?length(@.a) > 1].a", [{"a": "x"}, {"a": "xy"}], "xy"),
    ],
)
def test_first_match_is_the_output(path: str, document: Any, output: Any) -> None:
    assert compile_mapping({"output": path}).apply(document) == MappedResponse(output=output)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        *(
            ("$.a", {}),
            ("$.a", []),
            ("$[0]", []),
            ("$[0]", {"0": 1}),
            ("$[0]", "text"),
            ("$.a", "text"),
            ("$..a", "{}"),
        ),
        *(
            ("$.a.b", {"a": 1}),
            ("$.a.b", {"a": None}),
            ("$[-2]", [1]),
            ("$.a[*]", {"a": []}),
            ("$..a", 3),
            ("$.a", None),
        ),
    ],
)
def test_missing_output_is_a_failure_that_names_the_path(path: str, document: Any) -> None:
    with pytest.raises(MappingFailed) as caught:
        compile_mapping({"output": path}).apply(document)
    assert str(caught.value) == f"there is no value at {path} in the response"


def test_other_fields_are_mapped_where_they_exist() -> None:
    mapping = compile_mapping({"output": "$.usage", "tokens": "$.usage.total_tokens", "nope": "$.nope"})
    assert mapping.apply(CHAT).extra == {"tokens": 7}


@pytest.mark.parametrize(
    ("mapping", "pointer", "sentence"),
    [
        ({}, "", 'needs a path for "output"'),
        ({"output": ""}, "/output", r"must start with \$"),
        ({"output": "choices[0]"}, "/output", r"must start with \$"),
        ({"output": "$.a["}, "/output", "not a JSONPath of RFC 9535"),
        ({"output": "$.a | $.b"}, "/output", "not a JSONPath of RFC 9535"),
        ({"output": "$.a", "a/b": "$["}, "/a~1b", "not a JSONPath of RFC 9535"),
        ({"output": "$" + ".a" * 300}, "/output", "at most 500 are accepted"),
        ({"output": "$" + "[0]" * 160 + "]"}, "/output", "not a JSONPath"),
        ({"output": "$[?" + "!" * 400 + "@.a]"}, "/output", "nested too deeply"),
        ({"output": "$..a..b"}, "/output", "more than once"),
        ({"output": "$[0,0][0,0]"}, "/output", "several selectors"),
        ({"output": "$[?@..a]"}, "/output", "a filter that searches or"),
        ({"output": "$[?@.a[?@.b]]"}, "/output", "a filter that searches or"),
        ({"output": "$[?$.a == 1]"}, "/output", "a filter that searches or"),
        ({"output": "$[?search(@.a, '(a+)+$')]"}, "/output", "not a JSONPath"),
        ({"output": "$[?match(@.a, 'x')]"}, "/output", "not a JSONPath"),
        ({"output": "$.a"} | {f"f{n}": "$.a" for n in range(20)}, "", "at most 20 are accepted"),
    ],
)
def test_bad_path_is_refused_with_its_place(mapping: dict[str, str], pointer: str, sentence: str) -> None:
    with pytest.raises(MappingInvalid, match=sentence) as caught:
        compile_mapping(mapping)
    assert caught.value.pointer == pointer


def test_response_nested_deeper_than_a_search_goes_is_a_failure() -> None:
    document: Any = {}
    for _ in range(300):
        document = {"x": document}
    with pytest.raises(MappingFailed, match="cannot be searched"):
        compile_mapping({"output": "$..nowhere"}).apply(document)


def test_search_of_a_large_response_takes_seconds_at_most() -> None:
    document = [[{"b": [0] * 10} for _ in range(100)] for _ in range(100)]
    began = process_time()
    with pytest.raises(MappingFailed):
        compile_mapping({"output": "$..*[?@.b == 1]"}).apply(document)
    assert process_time() - began < 10
