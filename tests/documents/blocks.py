"""Finds the fenced blocks of the project's pages, each with the mark that stands above it.

A mark is an HTML comment on the line above the fence, which no reader sees:

    <!-- file: suite.yaml -->       the block is written to this file; the blocks below it use it
    <!-- is: TestRun -->            the block is this schema of openapi.yaml
    <!-- is part of: TestRun -->    the same, with fields left out; `…` stands for more
    <!-- not run: REASON -->        no test executes it, and why
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from textwrap import dedent

from tests.stack.process import ROOT

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- ([a-z ]+): (.+?) -->\n *\Z")


class PageUnreadable(Exception):
    """A page has a fence or a mark that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    #: What the mark says, and of what; both empty without one.
    mark: str = ""
    about: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.language or 'no language'})"


MARKS = frozenset({"file", "is", "is part of", "not run"})


@cache
def pages() -> tuple[str, ...]:
    """Every page, by its path in the project."""
    return ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """The blocks of a page, in their order."""
    return tuple(read_blocks(page, (ROOT / page).read_text(encoding="utf-8")))


def all_blocks() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


def read_blocks(page: str, text: str) -> list[Block]:
    """The blocks of a text; every line that looks like a fence has to be one of theirs."""
    found = list(_FENCE.finditer(text))
    if len(re.findall(r"^ *```", text, re.MULTILINE)) != 2 * len(found):
        raise PageUnreadable(f"{page}: a block is not closed, or its end is indented in another way")
    return [_block(page, text, match) for match in found]


def _block(page: str, text: str, match: re.Match[str]) -> Block:
    mark = _MARK.search(text[: match.start()])
    if mark and mark[1] not in MARKS:
        raise PageUnreadable(f"{page}: no mark is named {mark[1]!r}; there are {', '.join(sorted(MARKS))}")
    return Block(
        page=page,
        line=text.count("\n", 0, match.start()) + 1,
        language=match["language"],
        text=dedent(match["text"]),
        mark=mark[1] if mark else "",
        about=mark[2] if mark else "",
    )
