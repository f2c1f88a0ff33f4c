"""Kinds of values that options of several commands take, and which of the options were given."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any


def at_least_one(text: str) -> int:
    """A count."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return number


def seconds(text: str) -> float:
    """A time from now on."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 on")
    return number


def instant(text: str) -> datetime:
    """A moment; without a zone it is the clock's on the wall."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time, such as 2026-11-26T09:00 or …:00Z") from None


def words(text: str) -> list[str]:
    """Words that commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


def given(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the options that have a value."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}
