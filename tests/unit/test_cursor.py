"""What clients may say about where they stopped."""

from __future__ import annotations

import pytest

from gateway.stream.cursor import CursorInvalid, parse_cursor


@pytest.mark.parametrize(
    ("last_event_id", "after", "cursor"),
    [(None, None, None), ("", "", None), ("17", None, 17), (None, "0", 0), ("17", "3", 17), ("", "3", 3)],
)
def test_header_wins_over_the_parameter(last_event_id: str | None, after: str | None, cursor: int | None) -> None:
    assert parse_cursor(last_event_id, after) == cursor


@pytest.mark.parametrize("text", ["-1", "1.5", "abc", " 7", "+7", "1_000", "٣", "9" * 11, "9" * 10_000])
def test_anything_but_the_number_of_an_event_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CursorInvalid, match=r"^Last-Event-ID must be .* such as 17") as refusal:
        parse_cursor(text, None)
    assert len(str(refusal.value)) < 250


def test_refusal_names_the_parameter_that_was_wrong() -> None:
    with pytest.raises(CursorInvalid, match=r"^after must be"):
        parse_cursor(None, "x")
    with pytest.raises(CursorInvalid, match=r"^after must be"):
        parse_cursor("17", "-1")
