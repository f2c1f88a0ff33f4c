"""What metrics refer to: endpoints, named metrics, addresses of judges. What a request names is checked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Table, Uuid, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.api.faults import MOST_FAULTS
from gateway.api.outbound_urls import check_url
from gateway.errors import ApiError, Archived, Fault, NotFound, ValidationFailed
from workerapp.contract.caller import Caller
from workerapp.contract.judges import Judge
from workerapp.contract.metrics import Metric, NamedMetric
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.specs import ConfigurationSpec, TestSpec
from workerapp.db import tables

#: How many different metrics and endpoints the tests of one request may refer to.
MAX_REFERENCES = 10_000

_TABLES: dict[str, Table] = {"metric": tables.metric, "endpoint": tables.endpoint}


@dataclass(frozen=True, slots=True)
class _Reference:
    what: str
    key: UUID


@dataclass(frozen=True, slots=True)
class _Place:
    pointer: str | None
    line: int | None

    def sentence(self, detail: str) -> str:
        """The detail, behind the place if the request has one."""
        line = None if self.line is None else f"Line {self.line}"
        where = ", ".join(part for part in (line, self.pointer) if part is not None)
        return f"{where}: {detail}" if where else detail


class References:
    """Different references, each with the first place that has it."""

    def __init__(self, policy: OutboundPolicy | None = None) -> None:
        """With a `policy` the addresses of judges are held against it, too."""
        self._policy = policy
        self._places: dict[_Reference, _Place] = {}

    def add_all(self, metrics: Sequence[Metric], pointer: str, line: int | None = None) -> None:
        """Take what metrics refer to; `pointer` leads to their list. Raises what `add` does."""
        for number, metric in enumerate(metrics):
            self.add(metric, f"{pointer}/{number}", line)

    def add_test(self, test: TestSpec, pointer: str = "", line: int | None = None) -> None:
        """Take what a test's assertions refer to; `pointer` leads to the test. Raises what `add` does."""
        self.add_all(test.assertions, f"{pointer}/assertions", line)
        for number, turn in enumerate(test.turns or ()):
            self.add_all(turn.assertions, f"{pointer}/turns/{number}/assertions", line)

    def add(self, metric: Metric, pointer: str | None = None, line: int | None = None) -> None:
        """Take what a metric refers to; `pointer` leads to it, if it is in the request.

        Raises:
            UrlRefused: a judge is where nothing may be called.
            ValidationFailed: there are too many different references.
        """
        if self._policy is not None and isinstance(metric, Judge) and metric.url is not None:
            check_url(self._policy, metric.url, f"{pointer}/url")
        for reference, field in _references_of(metric):
            place = _Place(None if pointer is None else f"{pointer}/{field}", line)
            self._places.setdefault(reference, place)
        if len(self._places) > MAX_REFERENCES:
            detail = f"The tests refer to more than {MAX_REFERENCES} different metrics and endpoints."
            raise ValidationFailed(detail, faults=[Fault(pointer=pointer, detail=detail)])

    async def check(self, connection: AsyncConnection, caller: Caller) -> None:
        """Look whether everything is there and can be used.

        Raises:
            NotFound: something is not there, or it is another organization's.
            Archived: something is archived.
        """
        for what, table in _TABLES.items():
            keys = [reference.key for reference in self._places if reference.what == what]
            archived = await _archived(connection, caller, table, keys) if keys else {}
            missing = [_Reference(what, key) for key in keys if key not in archived]
            self._refuse(NotFound, missing, lambda one: f'There is no {one.what} with the id "{one.key}".')
            gone = [_Reference(what, key) for key in keys if archived.get(key)]
            self._refuse(Archived, gone, lambda one: f"The {one.what} {one.key} is archived and can no longer be used.")

    def _refuse(self, kind: type[ApiError], wrong: Sequence[_Reference], sentence: Callable[[_Reference], str]) -> None:
        if wrong:
            places = [(self._places[one], sentence(one)) for one in wrong[:MOST_FAULTS]]
            faults = [Fault(pointer=place.pointer, line=place.line, detail=detail) for place, detail in places]
            first, detail = places[0]
            raise kind(first.sentence(detail), faults=faults if first.pointer is not None else ())


async def check_configured(connection: AsyncConnection, caller: Caller, spec: Mapping[str, Any]) -> None:
    """Look whether what a stored configuration's metrics refer to can still be used. Raises what `References` does."""
    references = References()
    for metric in ConfigurationSpec.model_validate(spec).metrics:
        references.add(metric)
    await references.check(connection, caller)


def _references_of(metric: Metric) -> Iterator[tuple[_Reference, str]]:
    if isinstance(metric, NamedMetric):
        yield _Reference("metric", metric.metric_id), "metric_id"
    elif isinstance(metric, Judge) and metric.endpoint_id is not None:
        yield _Reference("endpoint", metric.endpoint_id), "endpoint_id"


async def _archived(
    connection: AsyncConnection, caller: Caller, table: Table, keys: Sequence[UUID]
) -> dict[UUID, bool]:
    """Whether each of those that there are is archived."""
    columns = table.c
    listed = any_(literal(keys, ARRAY(Uuid)))
    statement = select(columns.id, columns.archived_at.is_not(None).label("archived")).where(
        columns.organization_id == caller.organization_id, columns.id == listed
    )
    return {row.id: row.archived for row in await connection.execute(statement)}
