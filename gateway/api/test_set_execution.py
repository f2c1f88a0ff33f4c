"""`/v1/test-sets/{id}/execute`: one test set against several configurations at once, as a group of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import test_configurations, test_sets
from gateway.api.answers import In
from gateway.api.body import read_body
from gateway.api.callbacks import check_callback, find_callback
from gateway.api.faults import invalid_fields, pointer_to
from gateway.api.group_submission import GroupPlan, submit_group
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References, check_configured
from gateway.api.paging import path_uuid
from gateway.errors import Fault
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.specs import ConfigurationSpec, Name
from workerapp.db import tables

MAX_NAME_LENGTH = 200

_configuration = tables.test_configuration.c
_endpoint = tables.endpoint.c


class TestSetExecution(In):
    """What the test set is executed against, and which of the runs the others are compared with."""

    __test__ = False

    test_configuration_ids: Annotated[list[UUID], Field(min_length=1)] | None = None
    endpoint_ids: Annotated[list[UUID], Field(min_length=1)] | None = None
    #: Of all the endpoints.
    configuration: ConfigurationSpec | None = None
    name: Name | None = None
    baseline: UUID | None = None
    callback_url: str | None = None

    @field_validator("test_configuration_ids", "endpoint_ids")
    @classmethod
    def _are_distinct(cls, ids: list[UUID] | None) -> list[UUID] | None:
        twice = next((key for number, key in enumerate(ids or ()) if key in (ids or ())[:number]), None)
        if twice is not None:
            raise ValueError(f"the id {twice} is given twice")
        return ids

    @model_validator(mode="after")
    def _names_one_kind(self) -> Self:
        if (self.test_configuration_ids is None) == (self.endpoint_ids is None):
            raise ValueError("give either test_configuration_ids or endpoint_ids")
        if self.configuration is not None and self.endpoint_ids is None:
            raise ValueError("configuration goes with endpoint_ids; test configurations have one of their own")
        if self.baseline is not None and self.baseline not in self.ids:
            raise ValueError(f"the baseline must be one of the {self.field}")
        return self

    @property
    def field(self) -> str:
        """Which of the two lists is given."""
        return "endpoint_ids" if self.test_configuration_ids is None else "test_configuration_ids"

    @property
    def ids(self) -> list[UUID]:
        """The one that is given."""
        return self.test_configuration_ids or self.endpoint_ids or []

    @property
    def baseline_place(self) -> int:
        """Which of them is the baseline."""
        return 0 if self.baseline is None else self.ids.index(self.baseline)


async def execute_test_set(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, test_sets.DEFINITION.path_name, test_sets.DEFINITION.what)
    asked = await read_body(request, TestSetExecution)
    most = services.settings.max_runs_per_group
    if len(asked.ids) > most:
        detail = f"There are {len(asked.ids)}; at most {most} can be executed at once."
        raise invalid_fields([Fault(pointer=f"/{asked.field}", detail=detail)])
    references = References(services.settings.outbound)
    references.add_all(asked.configuration.metrics if asked.configuration else (), "/configuration/metrics")
    check_callback(services, asked.callback_url)
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        test_set = await test_sets.DEFINITION.find_usable(connection, caller, key)
        await references.check(connection, caller)
        configurations = await _configurations(connection, caller, test_set, asked)
        planned = GroupPlan(
            test_set_id=key,
            name=asked.name,
            configuration_ids=configurations,
            baseline_place=asked.baseline_place,
            callback=await find_callback(connection, services, caller, asked.callback_url),
        )
        return await submit_group(connection, services, issuer, planned)

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response


async def _configurations(
    connection: AsyncConnection, caller: Caller, test_set: Row[Any], asked: TestSetExecution
) -> list[UUID]:
    """A configuration of the set for each run; what is missing for an endpoint is made.

    Raises:
        ValidationFailed: naming each id that cannot be used.
    """
    if asked.test_configuration_ids is not None:
        await _check_configurations(connection, caller, test_set.id, asked.test_configuration_ids)
        return asked.test_configuration_ids
    spec = (asked.configuration or ConfigurationSpec()).model_dump(mode="json")
    names = await _names_of_endpoints(connection, caller, asked.ids)
    known = await _find_configurations(connection, caller, test_set.id, spec)
    for key in asked.ids:
        if key not in known:
            name = f"{test_set.name} on {names[key]}"[:MAX_NAME_LENGTH]
            values = {"name": name, "endpoint_id": key, "test_set_id": test_set.id, "spec": spec}
            known[key] = (await test_configurations.DEFINITION.insert(connection, caller, values)).id
    return [known[key] for key in asked.ids]


async def _check_configurations(
    connection: AsyncConnection, caller: Caller, test_set_id: UUID, ids: Sequence[UUID]
) -> None:
    statement = (
        select(_configuration.id, _configuration.test_set_id, _configuration.archived_at, _configuration.spec)
        .add_columns(_endpoint.archived_at.label("endpoint_archived_at"))
        .join(tables.endpoint, _endpoint.id == _configuration.endpoint_id)
        .where(_configuration.organization_id == caller.organization_id, _configuration.id.in_(ids))
    )
    found = {row.id: row for row in await connection.execute(statement)}

    def fault_of(row: Any | None) -> str | None:
        if row is None:
            return "There is no test configuration with this id."
        if row.test_set_id != test_set_id:
            return "This test configuration is of another test set."
        if row.archived_at is not None:
            return "This test configuration is archived and can no longer be used."
        return "The endpoint of this test configuration is archived." if row.endpoint_archived_at is not None else None

    _refuse_any("test_configuration_ids", (fault_of(found.get(key)) for key in ids))
    for row in found.values():
        await check_configured(connection, caller, row.spec)


async def _names_of_endpoints(connection: AsyncConnection, caller: Caller, ids: Sequence[UUID]) -> dict[UUID, str]:
    statement = select(_endpoint.id, _endpoint.name, _endpoint.archived_at).where(
        _endpoint.organization_id == caller.organization_id, _endpoint.id.in_(ids)
    )
    found = {row.id: row for row in await connection.execute(statement)}

    def fault_of(row: Any | None) -> str | None:
        if row is None:
            return "There is no endpoint with this id."
        return "This endpoint is archived and can no longer be used." if row.archived_at is not None else None

    _refuse_any("endpoint_ids", (fault_of(found.get(key)) for key in ids))
    return {key: row.name for key, row in found.items()}


def _refuse_any(field: str, details: Iterable[str | None]) -> None:
    faults = [
        Fault(pointer=pointer_to((field, place)), detail=detail)
        for place, detail in enumerate(details)
        if detail is not None
    ]
    if faults:
        raise invalid_fields(faults)


async def _find_configurations(
    connection: AsyncConnection, caller: Caller, test_set_id: UUID, spec: dict[str, Any]
) -> dict[UUID, UUID]:
    """The oldest usable configuration that is just so, of each endpoint that has one."""
    statement = (
        select(_configuration.endpoint_id, _configuration.id)
        .where(_configuration.organization_id == caller.organization_id, _configuration.test_set_id == test_set_id)
        .where(_configuration.archived_at.is_(None), _configuration.spec == spec)
        .order_by(_configuration.id.desc())
    )
    return {row.endpoint_id: row.id for row in await connection.execute(statement)}
