"""The header `Prefer` (RFC 7240): what a caller would like, and may be refused without a word."""

from __future__ import annotations

import re

from starlette.requests import Request

#: What stands between commas that are not within quotes; quotes that nobody closes reach to the end.
_PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+')
_SECONDS = re.compile(r'[ \t]*("?)([0-9]+)\1[ \t]*')


def preferred_wait(request: Request, most: int) -> int | None:
    """How many seconds the caller is ready to wait, `most` at most; none if that is not said, or not as a number.

    Only the first `wait` counts.
    """
    for preference in _PREFERENCE.findall(",".join(request.headers.getlist("prefer"))):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip(" \t").lower() == "wait":
            seconds = _SECONDS.fullmatch(value)
            # As a float because it may have any number of digits.
            return None if seconds is None else int(min(float(seconds[2]), most))
    return None
