"""The arguments of a function as JSON Schema: of an object with `args` and `kwargs`, as a caller sends it.

An argument may be given by its place or by its name, so both are described, and conditions say that it must be given in
one way and may not in both. What an annotation cannot tell is left open: the task itself sees what it gets.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, TypeAlias

from pydantic import PydanticUserError, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_jsonable_python

from workerapp.contract.json_schemas import DIALECT

logger = logging.getLogger(__name__)

Schema: TypeAlias = dict[str, Any]

_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class _Generator(GenerateJsonSchema):
    """Draft 2020-12, with a `title` only where a model has one: that of an argument is its name."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def describe_arguments(function: Callable[..., Any], supplied: Collection[str] = ()) -> Schema:
    """The schema of what the function can be called with; those that are supplied are none of the caller's."""
    parameters = [parameter for parameter in _parameters(function) if parameter.name not in supplied]
    schemas, definitions = _schemas_of(parameters)
    described = _Described(parameters, schemas)
    document = {"$schema": DIALECT, "type": "object", "properties": described.properties()}
    conditions = described.conditions()
    return document | ({"allOf": conditions} if conditions else {}) | definitions


def _parameters(function: Callable[..., Any]) -> Sequence[Parameter]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:  # noqa: BLE001 - evaluating annotations executes what somebody wrote there
        # Imported for type checkers only, most often.
        fields = {"function": getattr(function, "__qualname__", str(function)), "reason": str(error)}
        logger.warning("annotations_not_read", extra=fields)
        signature = inspect.signature(function)
    return tuple(signature.parameters.values())


def _schemas_of(parameters: Sequence[Parameter]) -> tuple[Mapping[str, Schema], Schema]:
    """The schema of each by its name, and what they refer to."""
    adapters = {parameter.name: _adapter(parameter) for parameter in parameters}
    found, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()], schema_generator=_Generator
    )
    shared.pop("$schema", None)
    schemas = {name: schema for (name, _), schema in found.items()}
    return {parameter.name: _with_default(parameter, schemas[parameter.name]) for parameter in parameters}, shared


def _adapter(parameter: Parameter) -> TypeAdapter[Any]:
    """What tells of the annotation; of anything, where it is none of JSON."""
    annotation = parameter.annotation
    if annotation is Parameter.empty or isinstance(annotation, str):
        return TypeAdapter(Any)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        adapter.json_schema(mode="validation", schema_generator=_Generator)
    except (PydanticUserError, TypeError, NameError):
        return TypeAdapter(Any)
    return adapter


def _with_default(parameter: Parameter, schema: Schema) -> Schema:
    if parameter.default is Parameter.empty:
        return schema
    try:
        return schema | {"default": to_jsonable_python(parameter.default)}
    except PydanticSerializationError:
        return schema


@dataclass(frozen=True, slots=True)
class _Described:
    parameters: Sequence[Parameter]
    schemas: Mapping[str, Schema]

    def properties(self) -> Schema:
        """Of `args` and `kwargs`, each by itself."""
        by_place = self._of_kind(*_BY_PLACE)
        placed = [{"title": parameter.name, **self.schemas[parameter.name]} for parameter in by_place]
        args: Schema = {"type": "array", "items": self._rest(Parameter.VAR_POSITIONAL)}
        if placed:
            args["prefixItems"] = placed
        needed = sum(_is_needed(parameter) for parameter in self._of_kind(Parameter.POSITIONAL_ONLY))
        if needed:
            args["minItems"] = needed
        named = self._of_kind(*_BY_NAME)
        kwargs: Schema = {
            "type": "object",
            "properties": {parameter.name: self.schemas[parameter.name] for parameter in named},
            "additionalProperties": self._rest(Parameter.VAR_KEYWORD),
        }
        required = [each.name for each in self._of_kind(Parameter.KEYWORD_ONLY) if _is_needed(each)]
        if required:
            kwargs["required"] = required
        return {"args": args, "kwargs": kwargs}

    def conditions(self) -> list[Schema]:
        """Of each argument that may be given either way: not by name too, and by name if it must be given at all."""
        return [
            _either_way(parameter, place)
            for place, parameter in enumerate(self._of_kind(*_BY_PLACE))
            if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
        ]

    def _of_kind(self, *kinds: Any) -> list[Parameter]:
        return [parameter for parameter in self.parameters if parameter.kind in kinds]

    def _rest(self, kind: Any) -> Schema | bool:
        """Of what a call may have besides: whatever `*args` or `**kwargs` take."""
        return next((self.schemas[parameter.name] for parameter in self._of_kind(kind)), False)


def _is_needed(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty


def _either_way(parameter: Parameter, place: int) -> Schema:
    condition: Schema = {
        "if": {"properties": {"args": {"minItems": place + 1}}, "required": ["args"]},
        "then": {"properties": {"kwargs": {"properties": {parameter.name: False}}}},
    }
    if _is_needed(parameter):
        condition["else"] = {"properties": {"kwargs": {"required": [parameter.name]}}, "required": ["kwargs"]}
    return condition
