"""Entity tags (RFC 9110): the number of a subject's latest event, and what a caller has already."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def entity_tag(seq: int) -> str:
    """A weak one: between two events a subject means the same, but need not be the same in every byte."""
    return f'W/"{seq}"'


@dataclass(frozen=True, slots=True)
class NoneMatch:
    """The condition that a subject is at none of these numbers; without any, that there is no such subject."""

    tags: frozenset[str]

    def knows(self, seq: int) -> bool:
        """Whether the caller has the subject as it is at this number."""
        return not self.tags or str(seq) in self.tags


def none_match(request: Request) -> NoneMatch | None:
    """The condition in `If-None-Match`; none if there is no such header, or neither a tag nor `*` in it."""
    given = ",".join(request.headers.getlist("if-none-match"))
    if given.strip(" \t") == "*":
        return NoneMatch(frozenset())
    tags = frozenset(_TAG.findall(given))
    return NoneMatch(tags) if tags else None
