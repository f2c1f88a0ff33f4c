"""How far a task is: what it tells of itself, and when it will probably end."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral, Real
from typing import Any

Amount = int | float

#: The largest amount that JavaScript, too, reads as it is written.
MOST = 2**53 - 1
#: A longer message is cut, so that an event, which has room for 1,024 bytes of progress, holds all of it.
MESSAGE_CHARACTERS = 200
#: Digits after the point of what is not an integer.
DIGITS = 6
#: Looked at first, since it is quick; numbers of other libraries will do too.
PLAIN = (int, float)
#: Control characters, and halves of surrogate pairs, which Postgres cannot hold.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class ProgressInvalid(ValueError):
    """A task told of itself what cannot be true; to try it again would not help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a task was at one moment; what is None is not known."""

    done: Amount
    total: Amount | None
    message: str | None
    #: How long it will go on, counted from `at`.
    eta_seconds: float | None
    #: In UTC.
    at: datetime

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; of nothing at all, everything is done."""
        if self.total is None:
            return None
        return round(self.done / self.total, DIGITS) if self.total else 1.0

    def as_json(self) -> str:
        """An object without what is not known."""
        values: dict[str, Any] = {
            "done": self.done,
            "total": self.total,
            "fraction": self.fraction,
            "message": self.message,
            "eta_seconds": self.eta_seconds,
            "at": self.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        return json.dumps({name: value for name, value in values.items() if value is not None}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a task gets on. Work counts the more the later it was done, in proportion to the time since the start.

    So the estimate of a task of minutes and of one of days follow a change of pace alike, and neither jumps about.
    """

    began: float
    at: float
    done: Amount
    work: float = 0.0
    seconds: float = 0.0

    def after(self, done: Amount, at: float) -> Rate:
        """The rate when so much is done; less than before means that the task has begun anew."""
        if done < self.done:
            return Rate(at, at, done)
        kept = (self.at - self.began) / (at - self.began) if at > self.began else 1.0
        return Rate(self.began, at, done, self.work * kept + done - self.done, self.seconds * kept + at - self.at)

    def eta(self, left: Amount) -> float | None:
        """In how many seconds so much more is done; None while it cannot be told."""
        if not left:
            return 0.0
        return round(left * self.seconds / self.work, 3) if self.work and self.seconds else None


def check_amount(name: str, value: Any) -> Amount:
    """The value as JSON can say it.

    Raises:
        TypeError: it is no number.
        ProgressInvalid: it is negative, not finite or too large.
    """
    kind = type(value)
    if kind not in PLAIN and (kind is bool or not issubclass(kind, Real)):
        raise TypeError(f"The progress's {name!r} is {value!r:.50}; it must be a number.")
    if not 0 <= value <= MOST:
        raise ProgressInvalid(f"The progress's {name!r} is {value!r:.50}; it must be from 0 to {MOST}.")
    return int(value) if kind is int or issubclass(kind, Integral) else round(float(value), DIGITS)


def check_amounts(done: Any, total: Any) -> tuple[Amount, Amount | None]:
    """Both amounts as JSON can say them; raises as `check_amount` does, also if more is done than there is."""
    checked = check_amount("done", done)
    most = None if total is None else check_amount("total", total)
    if most is not None and checked > most:
        raise ProgressInvalid(f"The progress's 'done' is {done!r} of {total!r}; it cannot be more than 'total'.")
    return checked, most


def check_message(message: Any) -> str | None:
    """The message.

    Raises:
        TypeError: it is no text.
    """
    if message is not None and not isinstance(message, str):
        raise TypeError(f"The progress's 'message' is a {type(message).__name__}; it must be a text.")
    return message


def storable_message(message: str | None) -> str | None:
    """The message as an event can hold it: without control characters, and its beginning if it is too long."""
    if message is None:
        return None
    cut = message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"
    return _UNPRINTABLE.sub(" ", cut)
