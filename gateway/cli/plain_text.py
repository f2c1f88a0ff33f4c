"""Text from elsewhere made fit for a terminal: an application's answer must not move the cursor or hide characters."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import Any

#: Control and format characters (among them those that turn the writing direction), halves of pairs, private ones.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_SPACES = frozenset("\t\n\r\v\f\x85\u2028\u2029")


def say(line: str) -> None:
    """Print a line for programs to read, in one write: what other processes print cannot get into it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def excerpt(value: Any, length: int) -> str:
    """At most `length` characters of a value on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Four times the length is read, not a megabyte, to have enough left when spaces have been joined.
    short = " ".join(printable(text[: length * 4]).split())
    return short if len(short) <= length and len(text) <= length * 4 else short[: max(length - 1, 0)] + "…"


def printable(text: str) -> str:
    """The same text without what a terminal would obey; what breaks lines becomes a space."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _SPACES:
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _HIDDEN else character
