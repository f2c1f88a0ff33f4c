"""`/v1/test-configurations`: how a test set is run against an endpoint, and starting such a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import func, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import endpoints, test_sets
from gateway.api.answers import WEBSOCKET, In, Links, Out, Time
from gateway.api.body import read_body
from gateway.api.definitions import Definition
from gateway.api.idempotency import Made, make_once
from gateway.api.paging import path_uuid
from gateway.auth.stream_tokens import Issuer
from gateway.launcher import LaunchOptions
from gateway.services import Services, services_of
from gateway.stream.subject import Subject, SubjectKind
from workerapp.contract.caller import Caller
from workerapp.contract.specs import ConfigurationSpec, Name
from workerapp.contract.states import RunStatus
from workerapp.contract.tasks import EXECUTE_TEST_CONFIGURATION
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
    per_test_timeout: float
    metrics: list[Any]
    pass_threshold: float | None
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    links: Links


class Execution(In):
    """What can be said about a run to be started: nothing yet."""


class RunSubmitted(Out):
    """A run that is queued, and the task that carries it."""

    task_id: str
    test_run_id: UUID
    status: RunStatus
    links: Links
    stream_token: str


def _configuration(row: Any) -> TestConfiguration:
    path = f"/v1/test-configurations/{row.id}"
    return TestConfiguration(
        **{"pass_threshold": None} | row.spec,
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

    async def work(connection: AsyncConnection) -> Made:
        await endpoints.DEFINITION.find_usable(connection, caller, asked.endpoint_id)
        await test_sets.DEFINITION.find_usable(connection, caller, asked.test_set_id)
        names = asked.model_dump(include={"name", "endpoint_id", "test_set_id"})
        spec = asked.model_dump(mode="json", exclude=set(names))
        row = await DEFINITION.insert(connection, caller, {**names, "spec": spec})
        return Made(status=201, location=f"/v1/test-configurations/{row.id}", body=_configuration(row))

    return await make_once(request, caller, asked, work)


async def execute_test_configuration(request: Request, caller: Caller) -> Response:
    services = services_of(request)
    key = path_uuid(request, DEFINITION.path_name, DEFINITION.what)
    asked = await read_body(request, Execution, default=b"{}")
    issuer = await services.stream_tokens.issuer(caller)

    async def work(connection: AsyncConnection) -> Made:
        configuration = await DEFINITION.find_usable(connection, caller, key)
        await endpoints.DEFINITION.find_usable(connection, caller, configuration.endpoint_id)
        await test_sets.DEFINITION.find_usable(connection, caller, configuration.test_set_id)
        return await _start(connection, services, issuer, key)

    response = await make_once(request, caller, asked, work)
    services.hints.submitted()
    return response


async def _start(connection: AsyncConnection, services: Services, issuer: Issuer, configuration_id: UUID) -> Made:
    task_id, caller = str(uuid4()), issuer.caller
    run = {
        "organization_id": caller.organization_id,
        "test_configuration_id": configuration_id,
        "task_id": task_id,
        "created_by": caller.user_id,
        "deadline_at": func.now() + timedelta(seconds=services.settings.run_deadline_seconds),
    }
    made = await connection.execute(insert(tables.test_run).values(**run).returning(tables.test_run.c.id))
    run_id: UUID = made.scalar_one()
    await services.launcher.task_launcher(
        connection,
        EXECUTE_TEST_CONFIGURATION,
        str(configuration_id),
        str(run_id),
        current_user=caller,
        options=LaunchOptions(task_id=task_id, test_run_id=run_id),
    )
    path, subject = f"/v1/test-runs/{run_id}", Subject(SubjectKind.TEST_RUN, str(run_id))
    body = RunSubmitted(
        task_id=task_id,
        test_run_id=run_id,
        status=RunStatus.QUEUED,
        links={"self": path, "events": f"{path}/events", "websocket": WEBSOCKET, "cancel": f"{path}/cancel"},
        stream_token=issuer.for_subject(subject),
    )
    return Made(status=202, location=path, body=body, subject=subject)
