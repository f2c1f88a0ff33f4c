"""Task types: what workers report, what callers are told of it, and what is refused before it is a task."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.postgres import TestDatabase
from tests.records import connect
from tests.rest import Gateway, Tenant, add_tenant, gateway
from workerapp.argument_schemas import describe_arguments
from workerapp.contract.task_types import TaskType

AGE = "10 minutes"
NOT_OF_TYPE = "The value is not of type"


def weigh(kilograms: float, label: str = "x", *, tags: list[str] | None = None) -> None: ...


def weigh_more(kilograms: float, label: str = "x", *, exactly: bool) -> None: ...


def described(name: str = "scales.weigh", function: Any = weigh, queue: str | None = None) -> TaskType:
    return TaskType(name=name, description="Weigh.", queue=queue, arguments=describe_arguments(function))


def report(database: TestDatabase, *types: TaskType, age: str = AGE) -> None:
    """As workers do."""
    with connect(database.url, "worker_rw") as worker:
        rows = Jsonb([each.model_dump(mode="json") for each in types])
        worker.execute("SELECT report_task_types(%s, %s::interval)", (rows, age))


def consume(database: TestDatabase, queue: str) -> None:
    with connect(database.url, "worker_rw") as worker:
        worker.execute("SELECT worker_report('w', 1, now(), 'prefork', 1, %s, '[]')", ([queue],))


@pytest.fixture
async def served(database: TestDatabase) -> AsyncGenerator[Gateway]:
    allowed = ("scales.*", "echo", "own.*")
    async with gateway(database.url, task_allow=allowed, task_type_cache_seconds=0) as running:
        yield running


@pytest.fixture
def admin(database: TestDatabase) -> Any:
    with connect(database.admin_url) as connection:
        yield connection


def faults_of(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 422, response.text
    return {fault["pointer"]: fault["detail"] for fault in response.json()["errors"]}


async def test_what_workers_report_and_the_operator_allows_is_listed_by_name(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    assert (await api.get("/v1/task-types")).json() == {"items": [], "next_cursor": None}
    names = ["scales.weigh", "scales.tare", "echo", "hidden.task"]
    report(database, *(described(name) for name in names))
    first = (await api.get("/v1/task-types", params={"limit": 2})).json()
    rest = (await api.get("/v1/task-types", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [each["name"] for each in first["items"] + rest["items"]] == ["echo", "scales.tare", "scales.weigh"]
    assert rest["next_cursor"] is None
    told = (await api.get(rest["items"][0]["links"]["self"])).json()
    assert told == rest["items"][0]
    assert (told["description"], told["queue"]) == ("Weigh.", "celery")
    assert told["arguments"] == describe_arguments(weigh)
    for name in ("hidden.task", "scales.unknown", "x" * 300):
        assert (await api.get(f"/v1/task-types/{name}")).status_code == 404


async def test_they_are_the_same_for_every_organization(
    api: httpx.AsyncClient, served: Gateway, database: TestDatabase
) -> None:
    report(database, described())
    async with served.client(add_tenant(database)) as stranger:
        theirs = (await stranger.get("/v1/task-types")).json()
        assert theirs == (await api.get("/v1/task-types")).json()
        path = theirs["items"][0]["links"]["self"]
        assert (await stranger.get(path)).json() == (await api.get(path)).json()


async def test_the_version_that_came_last_counts_whoever_reports_the_other_one_still(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    for function in (weigh, weigh_more, weigh):
        report(database, described(function=function))
    told = (await api.get("/v1/task-types/scales.weigh")).json()
    assert told["arguments"] == describe_arguments(weigh_more)


async def test_what_no_worker_reports_any_more_is_gone_and_what_is_reported_stays(
    api: httpx.AsyncClient, database: TestDatabase, admin: psycopg.Connection
) -> None:
    report(database, described("scales.old"), described("scales.new"))
    admin.execute("UPDATE task_type SET reported_at = now() - interval '11 minutes'")
    report(database, described("scales.new"))
    names = [each["name"] for each in (await api.get("/v1/task-types")).json()["items"]]
    assert names == ["scales.new"]


async def test_while_nobody_reports_nothing_is_forgotten(
    api: httpx.AsyncClient, database: TestDatabase, admin: psycopg.Connection
) -> None:
    report(database, described())
    admin.execute("UPDATE task_type SET reported_at = now() - interval '1 day'")
    assert (await api.get("/v1/task-types/scales.weigh")).status_code == 200


async def test_a_report_that_says_nothing_new_writes_nothing(database: TestDatabase, admin: psycopg.Connection) -> None:
    report(database, described())
    before = admin.execute("SELECT xmin, * FROM task_type").fetchall()
    report(database, described())
    assert admin.execute("SELECT xmin, * FROM task_type").fetchall() == before


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ({}, {"/kwargs/kilograms": "This argument is missing."}),
        ({"args": ["heavy"]}, {"/args/0": 'The value is not of type "number".'}),
        ({"kwargs": {"kilograms": "heavy"}}, {"/kwargs/kilograms": 'The value is not of type "number".'}),
        ({"args": [1], "kwargs": {"kilograms": 1}}, {"/kwargs/kilograms": "This argument is given by its place too."}),
        ({"args": [1, "a", 2]}, {"/args/2": "The task does not take so many arguments by their place."}),
        ({"args": [1], "kwargs": {"a/b": 1}}, {"/kwargs/a~1b": "There is no such argument."}),
        (
            {"args": [1], "kwargs": {"tags": 1}},
            {"/kwargs/tags": f'None of what it may be fits: {NOT_OF_TYPE} "array"; {NOT_OF_TYPE} "null".'},
        ),
        (
            {"args": ["heavy"], "kwargs": {"label": 1, "size": 2}},
            {
                "/args/0": 'The value is not of type "number".',
                "/kwargs/label": 'The value is not of type "string".',
                "/kwargs/size": "There is no such argument.",
            },
        ),
    ],
)
async def test_arguments_that_the_task_does_not_take_are_refused_with_their_places(
    api: httpx.AsyncClient,
    database: TestDatabase,
    admin: psycopg.Connection,
    arguments: dict[str, Any],
    faults: dict[str, str],
) -> None:
    report(database, described())
    refused = await api.post("/v1/tasks", json={"name": "scales.weigh"} | arguments)
    assert faults_of(refused) == faults
    assert refused.json()["code"] == "arguments_invalid"
    assert admin.execute("SELECT count(*) FROM task").fetchone() == (0,)


async def test_what_is_refused_is_not_quoted(api: httpx.AsyncClient, database: TestDatabase) -> None:
    report(database, described())
    refused = await api.post("/v1/tasks", json={"name": "scales.weigh", "args": ["a secret"]})
    assert refused.status_code == 422
    assert "a secret" not in refused.text


@pytest.mark.parametrize(
    "arguments", [{"args": [1]}, {"kwargs": {"kilograms": 2.5, "tags": ["a"]}}, {"args": [10**40]}]
)
async def test_arguments_that_fit_are_taken(
    api: httpx.AsyncClient, database: TestDatabase, arguments: dict[str, Any]
) -> None:
    report(database, described())
    assert (await api.post("/v1/tasks", json={"name": "scales.weigh"} | arguments)).status_code == 202


async def test_a_task_that_no_worker_of_its_queue_has_is_refused(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    report(database, described())
    consume(database, "celery")
    refused = await api.post("/v1/tasks", json={"name": "scales.unknown"})
    assert refused.json()["code"] == "task_unknown"
    detail = "No worker that consumes the queue 'celery' has the task 'scales.unknown'; see GET /v1/task-types."
    assert faults_of(refused) == {"/name": detail}


async def test_while_all_workers_are_of_a_version_that_tells_no_tasks_none_is_refused(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    consume(database, "celery")
    assert (await api.post("/v1/tasks", json={"name": "scales.weigh"})).status_code == 202


async def test_a_task_whose_worker_has_just_come_is_taken_although_types_are_remembered(
    database: TestDatabase, tenant: Tenant
) -> None:
    settings: dict[str, Any] = {"task_allow": ("scales.*",), "task_type_cache_seconds": 3600}
    async with gateway(database.url, **settings) as served, served.client(tenant) as client:
        assert (await client.get("/v1/task-types")).json()["items"] == []
        report(database, described())
        consume(database, "celery")
        taken = await client.post("/v1/tasks", json={"name": "scales.weigh", "args": [1]})
    assert taken.status_code == 202


async def test_a_task_of_a_queue_whose_workers_tell_nothing_is_taken_as_it_is(
    database: TestDatabase, tenant: Tenant
) -> None:
    consume(database, "celery")
    settings = {"task_allow": ("own.*",), "task_queues": ("own",)}
    async with gateway(database.url, **settings) as served, served.client(tenant) as client:
        taken = await client.post("/v1/tasks", json={"name": "own.task", "args": [1, 2, 3], "queue": "own"})
    assert taken.status_code == 202


async def test_a_task_goes_to_its_own_queue_unless_another_one_is_named(
    api: httpx.AsyncClient, database: TestDatabase, admin: psycopg.Connection
) -> None:
    report(database, described(queue="scales"))
    body = {"name": "scales.weigh", "args": [1]}
    for queue in ({}, {"queue": "celery"}, {"queue": "scales"}):
        assert (await api.post("/v1/tasks", json=body | queue)).status_code == 202
    assert (await api.post("/v1/tasks", json=body | {"queue": "other"})).json()["code"] == "queue_not_allowed"
    queues = admin.execute("SELECT queue FROM broker_message ORDER BY id").fetchall()
    assert queues == [("scales",), ("celery",), ("scales",)]


async def test_a_type_that_cannot_be_understood_is_listed_and_its_tasks_are_taken(
    api: httpx.AsyncClient, database: TestDatabase
) -> None:
    schema = {"properties": {"args": {"items": {"pattern": "(?<broken"}}}}
    report(database, TaskType(name="scales.odd", description=None, queue=None, arguments=schema))
    assert (await api.get("/v1/task-types/scales.odd")).json()["arguments"] == schema
    assert (await api.post("/v1/tasks", json={"name": "scales.odd", "args": ["x"]})).status_code == 202


async def test_no_role_reaches_the_types_but_through_their_functions(database: TestDatabase) -> None:
    for role, function in (("gateway_rw", "report_task_types('[]', '1 day')"), ("worker_rw", "task_types()")):
        with connect(database.url, role) as connection:
            for statement in ("SELECT * FROM task_type", f"SELECT {function}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
