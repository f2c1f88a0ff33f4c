"""The JSON Schema of a function's arguments accepts what the function can be called with, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import pytest
from celery import Celery
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from workerapp.argument_schemas import describe_arguments
from workerapp.contract.json_schemas import DIALECT, check_schema

if TYPE_CHECKING:
    from decimal import Decimal


class Address(BaseModel):
    city: str


class Person(BaseModel):
    """Somebody."""

    name: Annotated[str, Field(min_length=1)]
    addresses: list[Address] = []


def plain(first: int, second: str = "x") -> None: ...
def placed(first: int, /, second: int, *, third: int) -> None: ...
def open_ended(*numbers: int, **texts: str) -> None: ...
def untyped(first, second=None): ...
def modelled(person: Person, at: datetime | None = None) -> None: ...
def opaque(callback: Callable[[], int], connection: object = object()) -> None: ...
def unresolved(price: Decimal, count: int) -> None: ...


CALLS: list[tuple[Callable[..., Any], dict[str, Any], bool]] = [
    (plain, {"args": [1], "kwargs": {}}, True),
    (plain, {"args": [1, "y"], "kwargs": {}}, True),
    (plain, {"args": [1], "kwargs": {"second": "y"}}, True),
    (plain, {"args": [], "kwargs": {"first": 1, "second": "y"}}, True),
    (plain, {"args": [1]}, True),
    (plain, {"kwargs": {"first": 1}}, True),
    (plain, {"args": [], "kwargs": {}}, False),
    (plain, {}, False),
    (plain, {"args": ["1"], "kwargs": {}}, False),
    (plain, {"args": [1], "kwargs": {"first": 1}}, False),
    (plain, {"args": [1, "y"], "kwargs": {"second": "y"}}, False),
    (plain, {"args": [1, "y", 3], "kwargs": {}}, False),
    (plain, {"args": [1], "kwargs": {"third": 1}}, False),
    (placed, {"args": [1, 2], "kwargs": {"third": 3}}, True),
    (placed, {"args": [1], "kwargs": {"second": 2, "third": 3}}, True),
    (placed, {"args": [], "kwargs": {"first": 1, "second": 2, "third": 3}}, False),
    (placed, {"args": [1, 2], "kwargs": {}}, False),
    (placed, {"args": [1, 2, 3], "kwargs": {}}, False),
    (open_ended, {"args": [1, 2, 3], "kwargs": {"a": "x"}}, True),
    (open_ended, {"args": ["1"], "kwargs": {}}, False),
    (open_ended, {"args": [], "kwargs": {"a": 1}}, False),
    (untyped, {"args": [{"any": "thing"}], "kwargs": {"second": [None]}}, True),
    (untyped, {"args": [], "kwargs": {"second": 1}}, False),
    (modelled, {"args": [{"name": "A", "addresses": [{"city": "B"}]}], "kwargs": {"at": None}}, True),
    (modelled, {"args": [{"name": "A", "addresses": [{}]}], "kwargs": {}}, False),
    (modelled, {"args": [], "kwargs": {"person": {"name": ""}}}, False),
    (opaque, {"args": ["what JSON has no form for is left to the task"], "kwargs": {}}, True),
    (opaque, {"args": [], "kwargs": {}}, False),
    (unresolved, {"args": ["1.50", 2], "kwargs": {}}, True),
    (unresolved, {"args": [2], "kwargs": {}}, False),
]


@pytest.mark.parametrize(("function", "call", "fits"), CALLS)
def test_a_call_fits_if_the_function_can_be_called_so(
    function: Callable[..., Any], call: dict[str, Any], *, fits: bool
) -> None:
    assert Draft202012Validator(describe_arguments(function)).is_valid(call) is fits


@pytest.mark.parametrize("function", [plain, placed, open_ended, untyped, modelled, opaque, unresolved])
def test_what_is_made_is_a_schema_of_the_draft_that_refers_to_nothing_outside(function: Callable[..., Any]) -> None:
    schema = describe_arguments(function)
    assert schema["$schema"] == DIALECT
    check_schema(schema)


def test_arguments_have_their_names_and_defaults_where_json_has_them() -> None:
    properties = describe_arguments(plain)["properties"]
    assert properties["kwargs"]["properties"]["second"] == {"type": "string", "default": "x"}
    assert [each["title"] for each in properties["args"]["prefixItems"]] == ["first", "second"]
    assert "default" not in describe_arguments(opaque)["properties"]["kwargs"]["properties"]["connection"]


def test_a_model_that_several_arguments_have_is_described_once() -> None:
    def pair(first: Person, second: list[Person]) -> None: ...

    schema = describe_arguments(pair)
    assert schema["$defs"].keys() == {"Person", "Address"}
    assert schema["properties"]["kwargs"]["properties"]["first"] == {"$ref": "#/$defs/Person"}


def test_what_is_supplied_is_none_of_the_callers() -> None:
    schema = describe_arguments(plain, supplied=("second",))
    assert schema["properties"]["kwargs"]["properties"].keys() == {"first"}
    assert not Draft202012Validator(schema).is_valid({"args": [1, "y"], "kwargs": {}})


def test_annotations_that_cannot_be_read_are_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    describe_arguments(unresolved)
    assert [record.msg for record in caplog.records] == ["annotations_not_read"]


@pytest.mark.parametrize("options", [{}, {"pydantic": True}, {"bind": True}, {"autoretry_for": (OSError,)}])
def test_whatever_celery_wraps_around_a_task_it_is_described_as_it_was_written(options: dict[str, Any]) -> None:
    app = Celery("wrapping", set_as_current=False)
    name = str(options)
    if options.get("bind"):

        @app.task(name=name, shared=False, **options)
        def work(self, person: Person, key: UUID) -> None: ...
    else:

        @app.task(name=name, shared=False, **options)
        def work(person: Person, key: UUID) -> None: ...

    assert describe_arguments(app.tasks[name].run) == describe_arguments(written)


def written(person: Person, key: UUID) -> None: ...
