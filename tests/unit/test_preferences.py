"""What callers send in `Prefer` and `If-None-Match`, well formed or not."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.api.conditions import entity_tag, none_match
from gateway.api.preferences import preferred_wait

MOST = 30


def request(name: str, *values: str) -> Request:
    headers = [(name.encode(), value.encode("latin-1")) for value in values]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        (["wait=10"], 10),
        (["WAIT = 10"], 10),
        (['wait="10"'], 10),
        (["wait=0"], 0),
        (["wait=007"], 7),
        (["wait=30"], MOST),
        (["wait=31"], MOST),
        (["wait=" + "9" * 5000], MOST),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10"], 10),
        (["wait=10; urgency=low, return=minimal"], 10),
        (['note="a, \\", wait=1", wait=10'], 10),
        (["wait=10, wait=20"], 10),
        (["wait=10", "wait=20"], 10),
        ([", ,wait=10,"], 10),
    ],
)
def test_the_first_wait_counts_up_to_the_most(fields: list[str], seconds: int) -> None:
    assert preferred_wait(request("prefer", *fields), MOST) == seconds


@pytest.mark.parametrize(
    "field",
    [
        "",
        "wait",
        "wait=",
        'wait=""',
        "wait=soon",
        "wait=-1",
        "wait=1.5",
        "wait=1e1",
        "wait=10s",
        'wait="10',
        "wait=¹",
        "wait=1 0",
        "wait=soon, wait=10",
        "waits=10",
        "handling; wait=10",
        'note="a, wait=10',
        'note=";wait=10, wait=10"',
        '"' * 5000,
        "wait" + " " * 5000 + "=" + " " * 5000 + ";",
    ],
)
def test_what_is_not_a_wait_is_ignored(field: str) -> None:
    assert preferred_wait(request("prefer", field), MOST) is None


def test_no_header_prefers_nothing() -> None:
    assert preferred_wait(request("accept", "*/*"), MOST) is None


@pytest.mark.parametrize(
    "fields",
    [['W/"7"'], ['"7"'], ['W/"6", W/"7"'], ['W/"6"', '"7"'], ['"a,b" , W/"7"'], ["*"], [" * "], [entity_tag(7)]],
)
def test_a_tag_a_list_of_tags_or_a_star_know_a_number(fields: list[str]) -> None:
    condition = none_match(request("if-none-match", *fields))
    assert condition is not None
    assert condition.knows(7)


@pytest.mark.parametrize("field", ['W/"8"', '"77"', '"7 "', '""', '"W/7"', '"07"'])
def test_other_tags_do_not_know_it(field: str) -> None:
    condition = none_match(request("if-none-match", field))
    assert condition is None or not condition.knows(7)


@pytest.mark.parametrize("field", ["", "7", "W/7", "'7'", '"7', '*, "'])
def test_what_holds_no_tag_is_no_condition(field: str) -> None:
    assert none_match(request("if-none-match", field)) is None
