"""Where a client says it stopped: `Last-Event-ID` or `?after=` of a subject's stream."""

from __future__ import annotations

_MOST_DIGITS = 10


class CursorInvalid(ValueError):
    """The cursor is not the number of an event; the message says what would be one."""


def parse_cursor(last_event_id: str | None, after: str | None) -> int | None:
    """The number of the last event the client has, none if it has none.

    The header wins: a browser that reconnects sends it to the URL it once started with.

    Raises:
        CursorInvalid: one of them is not a whole number from 0 on, or longer than any number of an event.
    """
    header, parameter = _number("Last-Event-ID", last_event_id), _number("after", after)
    return parameter if header is None else header


def _number(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise CursorInvalid(
            f"{name} must be the id of the last event received, a whole number of at most {_MOST_DIGITS} digits"
            " such as 17 (0 for all events); leave it out to start with a snapshot."
        )
    return int(text)
