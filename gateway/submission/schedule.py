"""When a submitted task may begin, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.errors import Fault
from gateway.submission.refusals import ScheduleInvalid, refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Both by the clock of this server; nothing means at once, and for ever."""

    eta: datetime | None
    expires: datetime | None


def read_schedule(
    *, eta: datetime | None, countdown: float | None, expires: datetime | float | None, furthest: float
) -> Schedule:
    """The times that are asked for, none of them more than `furthest` seconds ahead.

    Raises:
        ScheduleInvalid: they are too far ahead, over, or contradict each other.
    """
    now = datetime.now(UTC)
    times = {"eta": eta, "countdown": countdown, "expires": expires}
    faults = [
        Fault(pointer=f"/{name}", detail=f"This is too far ahead; at most {furthest:g} seconds are possible.")
        for name, value in times.items()
        if value is not None and _seconds_until(value, now) > furthest
    ]
    if eta is not None and countdown is not None:
        faults.append(Fault(pointer="/countdown", detail="Only one of eta and countdown can be given."))
    if faults:
        raise refusal(ScheduleInvalid, faults)
    begins = _instant(countdown if eta is None else eta, now)
    ends = _instant(expires, now)
    if ends is not None and ends <= max(begins or now, now):
        what = "This time is over." if ends <= now else "The task would expire before it may begin."
        raise refusal(ScheduleInvalid, [Fault(pointer="/expires", detail=what)])
    return Schedule(eta=begins, expires=ends)


def _seconds_until(time: datetime | float, now: datetime) -> float:
    return (time - now).total_seconds() if isinstance(time, datetime) else time


def _instant(time: datetime | float | None, now: datetime) -> datetime | None:
    return now + timedelta(seconds=time) if isinstance(time, int | float) else time
