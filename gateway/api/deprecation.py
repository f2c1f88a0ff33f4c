"""Operations that will be gone: since when it is said, from when on they may be, and what to use instead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Deprecation:
    """What answers of such an operation tell (RFC 9745, RFC 8594)."""

    since: date
    #: The day from which on it may be gone.
    sunset: date
    #: The path of what there is to read about it.
    more: str = "/docs"

    def __post_init__(self) -> None:
        if self.sunset <= self.since:
            raise ValueError("An operation is deprecated before it is gone.")

    @property
    def headers(self) -> dict[str, str]:
        return {
            "deprecation": f"@{int(_midnight(self.since).timestamp())}",
            "sunset": format_datetime(_midnight(self.sunset), usegmt=True),
            "link": f'<{self.more}>; rel="deprecation"',
        }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
