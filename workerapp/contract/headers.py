"""Which HTTP headers an endpoint may be sent, by name and by value."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_HEADERS = 50

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8000}")
#: Set by the client itself; another value could smuggle a request or reach another virtual host.
_OWN = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "accept-encoding", "content-encoding", "cookie2"}
)


def check_name(name: str) -> None:
    """Refuse, with a ValueError, a name that no header has or that is not to be chosen."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if name.lower() in _OWN:
        raise ValueError(f"the header {name!r} is set by the client and cannot be chosen")


def check_value(name: str, value: str) -> None:
    """Refuse, with a ValueError, a value that cannot be sent. It may be a secret and is never repeated."""
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header {name!r} is too long or has a character that a header cannot hold")


def check_distinct(*groups: Iterable[str]) -> None:
    """Refuse, with a ValueError, a header that two of the groups set, in whatever case."""
    seen: set[str] = set()
    for group in groups:
        names = {name.lower() for name in group}
        for name in sorted(names & seen):
            raise ValueError(f"the header {name!r} is set twice; give it in one place")
        seen |= names
