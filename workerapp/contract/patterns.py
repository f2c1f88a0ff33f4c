"""Regular expressions written by tenants: compiled once, searched within a time limit."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

# `re` cannot be stopped; `regex` understands the same syntax and takes a timeout.
import regex

#: The timeout does not reach into the search for a literal text, which costs up to pattern times text.
MAX_PATTERN_LENGTH = 500

Pattern: TypeAlias = "regex.Pattern[str]"


class PatternInvalid(ValueError):
    """The pattern does not compile; the message says why."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Pattern:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise PatternInvalid(f"the pattern has {len(pattern)} characters; at most {MAX_PATTERN_LENGTH} are accepted")
    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except regex.error as exc:
        raise PatternInvalid(f"{pattern!r} is not a regular expression: {exc}") from None
    except (RecursionError, MemoryError, OverflowError, ValueError):
        raise PatternInvalid(f"{pattern!r} is too complicated to compile") from None
