"""What became of every delivery by the database's account, held against what the receivers were sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from tests.webhook_faults.receivers import DELIVERED, EXHAUSTED, MANNERS

DELIVERIES = """
SELECT d.id::text, d.webhook_endpoint_id::text AS endpoint_id, d.event_type, d.subject_id, d.status, d.attempts,
       d.payload, d.leased_by IS NOT NULL OR d.next_attempt_at IS NOT NULL AS is_open,
       coalesce(l.numbers, '{}') AS numbers, coalesce(l.statuses, '{}') AS statuses, coalesce(l.errors, '{}') AS errors
FROM webhook_delivery d LEFT JOIN LATERAL (
    SELECT array_agg(a.number ORDER BY a.number) AS numbers, array_agg(a.http_status ORDER BY a.number) AS statuses,
           array_agg(a.error ORDER BY a.number) AS errors
    FROM webhook_attempt a WHERE a.webhook_delivery_id = d.id) l ON true
ORDER BY d.id
"""
DISABLED = "SELECT subject_id FROM task_event WHERE type = 'webhook_endpoint.disabled'"
GONE = 410
INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A row, and its log by the number of the attempt."""

    id: str
    endpoint_id: str
    event_type: str
    subject_id: str
    status: str
    attempts: int
    payload: dict[str, Any]
    is_open: bool
    numbers: Sequence[int]
    statuses: Sequence[int | None]
    errors: Sequence[str | None]

    @property
    def interrupted(self) -> int:
        return self.errors.count(INTERRUPTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Of a fault run that is over."""

    deliveries: Sequence[Delivery]
    #: By endpoint.
    manners: Mapping[str, str]
    #: How often each endpoint was disabled.
    disabled: Mapping[str, int]
    #: By run, the endpoint of its callback.
    runs: Mapping[str, str]
    #: Bodies that receivers were sent, and how often they said yes, by delivery.
    bodies: Mapping[str, Sequence[bytes]]
    accepted: Mapping[str, int]
    #: How many attempts the schedule has.
    attempts: int
    #: How many workers ended in good order: what such a one breaks off does not count.
    stops: int

    def manner_of(self, delivery: Delivery) -> str:
        return self.manners[delivery.endpoint_id]


def read_deliveries(admin: psycopg.Connection) -> Sequence[Delivery]:
    with admin.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(DELIVERIES).fetchall()


def read_disabled(admin: psycopg.Connection) -> Mapping[str, int]:
    return Counter(row[0] for row in admin.execute(DISABLED).fetchall())


def problems(account: Account) -> dict[str, list[str]]:
    """By name of the check, what it found; nothing for one that found nothing."""
    found = {
        name: [text for one in account.deliveries if (text := check(account, one))] for name, check in CHECKS.items()
    }
    found["queued"] = list(_queued(account))
    found["unknown"] = [
        f"nobody queued {id_}" for id_ in account.bodies.keys() - {one.id for one in account.deliveries}
    ]
    return {name: texts for name, texts in found.items() if texts}


def _ended(account: Account, one: Delivery) -> str | None:
    """Everything has come to an end that fits its receiver."""
    ends = MANNERS[account.manner_of(one)].ends
    return _text(account, one) if one.is_open or one.status not in ends else None


def _log(account: Account, one: Delivery) -> str | None:
    """The log has every attempt once."""
    return _text(account, one) if list(one.numbers) != list(range(1, one.attempts + 1)) else None


def _answers(account: Account, one: Delivery) -> str | None:
    """No answer is in the log that the receiver does not give; and without an answer there is an error."""
    given = MANNERS[account.manner_of(one)].statuses
    right = all(
        status in given or (status is None and error) for status, error in zip(one.statuses, one.errors, strict=True)
    )
    return None if right else _text(account, one)


def _outcome(account: Account, one: Delivery) -> str | None:
    """It ended as its log says, and no sooner."""
    *before, last = one.statuses or [None]
    succeeded = [status is not None and 200 <= status < 300 for status in (*before, last)]
    if one.status == DELIVERED:
        right = succeeded[-1] and not any(succeeded[:-1])
    elif one.status == EXHAUSTED:
        right = not any(succeeded) and (len(one.statuses) == account.attempts or last == GONE)
    else:
        right = not any(succeeded) and account.disabled.get(one.endpoint_id, 0) > 0
    return None if right else _text(account, one)


def _payload(account: Account, one: Delivery) -> str | None:
    """Every attempt brought the same bytes, which are the event that was queued."""
    bodies = set(account.bodies.get(one.id, ()))
    return _text(account, one) if len(bodies) > 1 or any(json.loads(body) != one.payload for body in bodies) else None


def _requests(account: Account, one: Delivery) -> str | None:
    """No request without an attempt, and no answer in the log without a request."""
    sent, answered = len(account.bodies.get(one.id, ())), len(one.statuses) - one.statuses.count(None)
    return _text(account, one) if not answered <= sent <= one.attempts + account.stops else None


def _repeated(account: Account, one: Delivery) -> str | None:
    """What a receiver has accepted is sent again only if the sender did not hear of it."""
    unheard = one.statuses.count(None) + account.stops
    right = account.accepted.get(one.id, 0) <= (one.status == DELIVERED) + unheard
    return None if right else _text(account, one)


CHECKS: Mapping[str, Callable[[Account, Delivery], str | None]] = {
    "ended": _ended,
    "log": _log,
    "answers": _answers,
    "outcome": _outcome,
    "payload": _payload,
    "requests": _requests,
    "repeated": _repeated,
}


def _queued(account: Account) -> Iterator[str]:
    """One delivery for each run and subscription and for each run's callback, and one for each disabled endpoint."""
    subscriptions = {id_ for id_, manner in account.manners.items() if not MANNERS[manner].is_callback}
    of_runs = Counter(
        (one.subject_id, one.endpoint_id) for one in account.deliveries if one.event_type.startswith("test_run.")
    )
    for run, callback in account.runs.items():
        wanted = subscriptions | {callback}
        yield from (f"run {run} was not queued for {account.manners[id_]}" for id_ in wanted if of_runs[run, id_] != 1)
    told = Counter(one.subject_id for one in account.deliveries if one.event_type == "webhook_endpoint.disabled")
    if told != account.disabled:
        yield f"that endpoints were disabled was queued {told} times, not {account.disabled}"


def _text(account: Account, one: Delivery) -> str:
    return (
        f"{account.manner_of(one)} {one.id} of {one.subject_id}: {one.status} after {one.attempts} attempts,"
        f" {list(zip(one.numbers, one.statuses, one.errors, strict=True))}, {len(account.bodies.get(one.id, ()))} sent"
    )
