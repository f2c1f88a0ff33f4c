"""`/v1/test-configurations`: how a test set is run against an endpoint, and starting such a run."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import endpoints, test_sets
from gateway.api.answers import Links, Out, Time
from gateway.api.body import read_body
from gateway.api.callbacks import check_callback, find_callback
from gateway.api.definitions import Definition
from gateway.api.idempotency import Made, make_once
from gateway.api.metric_references import References, check_configured
from gateway.api.paging import path_uuid
from gateway.api.run_submission import submit_run
from gateway.services import services_of
from workerapp.contract.caller import Caller
from workerapp.contract.specs import ConfigurationSpec, Name, RunOptions, Sample
from workerapp.db import tables


class TestConfigurationCreation(ConfigurationSpec):
    """A new configuration."""

    __test__ = False

    name: Name
    endpoint_id: UUID
    test_set_id: UUID


class TestConfiguration(Out):
    """A configuration as it is answered."""

    __test__ = False

    id: UUID
    name: str
    endpoint_id: UUID
    test_set_id: UUID
    mode: Literal["parallel", "sequential"]
    concurrency: int
    repeats: int
    sample: Sample | None
    max_failures: int | None
    per_test_timeout: float
    metrics: list[Any]
    pass_threshold: float | None
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    links: Links


class Execution(RunOptions):
    """What this run has otherwise than its configuration; what is not given is as the configuration has it."""

    callback_url: str | None = None

    def overrides(self) -> RunOptions:
        """What is given of it, without what is no option of a configuration."""
        return RunOptions(
            **{name: getattr(self, name) for name in self.model_fields_set & RunOptions.model_fields.keys()}
        )


#: What configurations that were stored before these fields do not have.
_LATER_FIELDS = {"pass_threshold": None, "repeats": 1, "sample": None, "max_failures": None}


def _configuration(row: Any) -> TestConfiguration:
    path = f"/v1/test-configurations/{row.id}"
    return TestConfiguration(
        **_LATER_FIELDS | row.spec,
        id=row.id,
        name=row.name,
        endpoint_id=row.endpoint_id,
        test_set_id=row.test_set_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        links={"self": path, "execute": f"{path}/execute"},
    )


DEFINITION = Definition(
    table=tables.test_configuration,
    what="test configuration",
    path_name="test_configuration_id",
    item=_configuration,
)


async def create_test_configuration(request: Request, caller: Caller) -> Response:
    asked = await read_body(request, TestConfigurationCreation)
    references = References(services_of(request).settings.outbound)
    references.add_all(asked.metrics, "/metrics")

    async def work(connection: AsyncConnection) -> Made:
        await endpoints.DEFINITION.find_usable(connection, caller, asked.endpoint_id)
        await test_sets.DEFINITION.find_usable(connection, caller, asked.test_set_id)
        await references.check(connection, caller)
        names = asked.model_dump(include={"name", "endpoint_id", "test_set_id"})
        spec = asked.model_dump(mode="json", exclude=set(names))
        row = await DEFINITION.insert(connection, caller, {**names, "spec": spec})
        return Made(status=201, location=f"/v1/test-configurations/{row.id}", body=_configuration(row))

    return await make_once(request, caller, asked, work)


async def execute_test_configuration(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    asked = await read_body(request, Execution, default=b"{}")
    check_callback(services, asked.callback_url)
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        configuration = await DEFINITION.find_usable(connection, caller, key)
        await endpoints.DEFINITION.find_usable(connection, caller, configuration.endpoint_id)
        await test_sets.DEFINITION.find_usable(connection, caller, configuration.test_set_id)
        await check_configured(connection, caller, configuration.spec)
        callback = await find_callback(connection, services, caller, asked.callback_url)
        return await submit_run(connection, services, issuer, key, overrides=asked.overrides(), callback=callback)

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response
