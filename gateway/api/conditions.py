"""Entity tags (RFC 9110), and requests that hold only for what a caller has already, or has still.

A task's or run's tag is the number of its latest event. A definition's is made of what is answered, and so says whether
a change would be made to what the caller has read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Out, answer
from gateway.errors import ApiError
from gateway.transport.compression import FOR_EVERYBODY, MOST_FILES, TAG_SUFFIX

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_DIGEST_LENGTH = 24


class PreconditionFailed(ApiError):
    """What `If-Match` names is not what there is."""

    status, code, title = 412, "precondition_failed", "It has changed"


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
    given = _header(request, "if-none-match")
    if given == "*":
        return NoneMatch(frozenset())
    tags = frozenset(_TAG.findall(given))
    return NoneMatch(tags) if tags else None


def answer_tagged(request: Request, body: Out) -> Response:
    """The definition as it is, with its tag; or 304, if the caller has it."""
    known = _known(request, content_tag(body))
    return known or answer(body, headers={"ETag": f'"{content_tag(body)}"'})


def answer_file(
    request: Request, content: bytes, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A file that is the same for everybody, to be asked for again with its tag; or 304, if the caller has it."""
    tag = _file_tag(content)
    answered = _known(request, tag) or Response(content, headers={"ETag": f'"{tag}"'}, media_type=media_type)
    answered.headers.update({"Cache-Control": FOR_EVERYBODY, **(headers or {})})
    return answered


def check_match(request: Request, current: Out) -> None:
    """Let a change pass if the caller has what is to be changed, or does not say what it has.

    Call it in the transaction of the change, with what is locked for it.

    Raises:
        PreconditionFailed: it is another one by now.
    """
    given = _header(request, "if-match")
    if given and not _names(given, content_tag(current)):
        raise PreconditionFailed(
            "It has changed since you have read what If-Match names; read it again, and send its new ETag."
        )


def content_tag(body: Out) -> str:
    """What the tag of an answer has between its quotes, if that is not compressed."""
    return _digest(body.model_dump_json().encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]


#: For files, which are read once.
_file_tag = lru_cache(maxsize=MOST_FILES)(_digest)


def _known(request: Request, tag: str) -> Response | None:
    """The answer to who has what the tag is of already."""
    given = _header(request, "if-none-match")
    if request.method not in ("GET", "HEAD") or not given or not _names(given, tag):
        return None
    compressed = tag + TAG_SUFFIX
    return Response(status_code=304, headers={"ETag": f'"{compressed if compressed in given else tag}"'})


def _names(given: str, tag: str) -> bool:
    """Whether a header names the tag, as it was answered or compressed.

    The mark of a weak tag is passed over: proxies that compress add it, and the tag itself tells all that is answered.
    """
    return given == "*" or not {tag, tag + TAG_SUFFIX}.isdisjoint(_TAG.findall(given))


def _header(request: Request, name: str) -> str:
    return ",".join(request.headers.getlist(name)).strip(" \t")
