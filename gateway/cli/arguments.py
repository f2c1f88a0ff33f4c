"""Kinds of values that options of several commands take."""

from __future__ import annotations

import argparse


def at_least_one(text: str) -> int:
    """A count."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return number


def words(text: str) -> list[str]:
    """Words that commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]
