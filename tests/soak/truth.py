"""What the database says happened, and how far what a client was told is from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

EVENTS = (
    "SELECT organization_id, subject_id AS subject, seq, id, type, data->>'name' AS task_name,"
    " data->>'status' AS status FROM task_event ORDER BY subject_id, seq"
)
#: What a writer takes back carries this word, and a writer that does not take it back never writes it.
UNDONE = "taken back"
LEFT_BEHIND = "SELECT count(*) FROM task_event WHERE data::text LIKE %s"


class Numbered(NamedTuple):
    """An event as a client knows it again."""

    seq: int
    id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One row of the log."""

    organization_id: UUID
    subject: str
    seq: int
    id: int
    type: str
    task_name: str
    status: str


@dataclass(kw_only=True)
class Told:
    """What a client was told, subject by subject, in the order in which it came."""

    by_subject: defaultdict[str, list[Numbered]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    def add(self, event: Mapping[str, Any]) -> None:
        self.by_subject[event["subject"]].append(Numbered(event["seq"], event["id"]))
        self.count += 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Events that a client was not told, told again, told behind a later one of their subject, or told of nothing."""

    lost: int = 0
    repeated: int = 0
    out_of_order: int = 0
    invented: int = 0

    def __add__(self, other: Difference) -> Difference:
        return Difference(
            lost=self.lost + other.lost,
            repeated=self.repeated + other.repeated,
            out_of_order=self.out_of_order + other.out_of_order,
            invented=self.invented + other.invented,
        )


def read_truth(admin: psycopg.Connection) -> list[Stored]:
    with admin.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(EVENTS).fetchall()


def left_behind(admin: psycopg.Connection) -> int:
    """How many events tell of what was rolled back."""
    row = admin.execute(LEFT_BEHIND, (f"%{UNDONE}%",)).fetchone()
    assert row is not None
    return int(row[0])


def difference(told: Told, expected: Iterable[Stored]) -> Difference:
    right: defaultdict[str, list[Numbered]] = defaultdict(list)
    for row in expected:
        right[row.subject].append(Numbered(row.seq, row.id))
    subjects = right.keys() | told.by_subject.keys()
    return sum((_of_subject(told.by_subject[name], right[name]) for name in subjects), Difference())


def _of_subject(told: Sequence[Numbered], right: Sequence[Numbered]) -> Difference:
    if told == right:
        return Difference()
    counted, wanted = Counter(told), set(right)
    return Difference(
        lost=len(wanted - counted.keys()),
        repeated=sum(counted.values()) - len(counted),
        out_of_order=sum(later < before for before, later in pairwise(dict.fromkeys(told))),
        invented=len(counted.keys() - wanted),
    )
