"""`/v1/metrics`: metrics with a name, which tests and configurations refer to by their ids."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import definitions
from gateway.api.answers import In, Links, Out, Time
from gateway.api.body import read_body
from gateway.api.conditions import answer_tagged
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References
from gateway.api.paging import path_uuid
from gateway.audit import Particulars, note
from gateway.errors import Fault, NameTaken
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.metric import MetricName
from workerapp.contract.metrics import Definition as MetricDefinition
from workerapp.contract.metrics import Metric
from workerapp.db import tables
from workerapp.db.tenant import tenant_transaction

Description: TypeAlias = Annotated[str, Field(max_length=2000)]

_metric = tables.metric.c


class MetricCreation(In):
    """A new named metric; `spec` is the metric as a test or a configuration would have it."""

    name: MetricName
    description: Description | None = None
    spec: MetricDefinition


class MetricChange(In):
    """What is to be changed; what is not given, or null, stays as it is."""

    description: Description | None = None
    spec: MetricDefinition | None = None


class NamedMetric(Out):
    """A named metric as it is answered."""

    id: UUID
    name: str
    description: str | None
    spec: Any
    version: int
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    links: Links


def _named_metric(row: Any) -> NamedMetric:
    columns = {name: getattr(row, name) for name in NamedMetric.model_fields if name != "links"}
    return NamedMetric(**columns, links={"self": f"/v1/metrics/{row.id}"})


DEFINITION = definitions.Definition(table=tables.metric, what="metric", path_name="metric_id", item=_named_metric)


async def create_metric(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, MetricCreation)
    references = _references_of(asked.spec, request)

    async def work(connection: AsyncConnection) -> Made:
        await references.check(connection, caller)
        row = await _insert(connection, caller, asked)
        return Made(status=201, location=f"/v1/metrics/{row.id}", body=_named_metric(row))

    return await make_once(request, caller, asked, work)


async def change_metric(request: Request, caller: Caller) -> Response:
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    asked = await read_body(request, MetricChange)
    values = asked.model_dump(mode="json", exclude_none=True)
    async with tenant_transaction(services_of(request).engine, caller) as connection:
        row = await DEFINITION.find_same(connection, request, caller, key)
        DEFINITION.check_usable(row)
        if asked.spec is not None:
            values["spec"] = asked.spec.model_dump(mode="json")
            await _references_of(asked.spec, request).check(connection, caller)
        if values:
            row = await _update(connection, caller, key, values)
        await note(connection, request, caller, Particulars(details={"fields": sorted(asked.model_fields_set)}))
        return answer_tagged(request, _named_metric(row))


def _references_of(spec: Metric, request: Request) -> References:
    references = References(services_of(request).settings.outbound)
    references.add(spec, "/spec")
    return references


async def _insert(connection: AsyncConnection, caller: Caller, asked: MetricCreation) -> Row[Any]:
    values = {"organization_id": caller.organization_id, **asked.model_dump(mode="json")}
    statement = insert(tables.metric).values(**values)
    statement = statement.on_conflict_do_nothing(
        index_elements=["organization_id", "name"], index_where=_metric.archived_at.is_(None)
    )
    row = (await connection.execute(statement.returning(*_metric))).one_or_none()
    if row is None:
        detail = (
            f"There is a metric with the name {asked.name!r} already; change or archive it, or choose another name."
        )
        raise NameTaken(f"/name: {detail}", faults=[Fault(pointer="/name", detail=detail)])
    return row


async def _update(connection: AsyncConnection, caller: Caller, key: UUID, values: dict[str, Any]) -> Row[Any]:
    mine = (_metric.id == key) & (_metric.organization_id == caller.organization_id) & _metric.archived_at.is_(None)
    values |= {"version": _metric.version + 1, "updated_at": func.now()}
    changing = update(tables.metric).where(mine).values(**values).returning(*_metric)
    return (await connection.execute(changing)).one()
