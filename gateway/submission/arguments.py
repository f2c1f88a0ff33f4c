"""Holding the arguments of a submitted task against what its worker has told of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jsonschema_rs import ValidationError, ValidationErrorKind

from gateway.api.faults import MOST_FAULTS, pointer_to
from gateway.errors import Fault
from gateway.submission.refusals import ArgumentsInvalid, refusal
from gateway.submission.task_types import KnownType

_Place = Sequence[str | int]


def check_arguments(known: KnownType, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """See that the task can be called so.

    Raises:
        ArgumentsInvalid: with what is wrong, and where.
    """
    errors = known.validator.iter_errors({"args": args, "kwargs": kwargs})
    faults = list(dict.fromkeys(islice((fault for error in errors for fault in _faults(error)), MOST_FAULTS)))
    if faults:
        raise refusal(ArgumentsInvalid, faults)


def _faults(error: ValidationError) -> Iterator[Fault]:
    kind, place = error.kind, error.instance_path
    if isinstance(kind, ValidationErrorKind.Required):
        yield _fault([*place, kind.property], f"This {_what(place)} is missing.")
    elif isinstance(kind, ValidationErrorKind.AdditionalProperties):
        for name in kind.unexpected:
            yield _fault([*place, name], f"There is no such {_what(place)}.")
    else:
        yield _fault(place, _sentence(kind, place, error.message))


def _sentence(kind: ValidationErrorKind, place: _Place, message: str) -> str:
    if isinstance(kind, ValidationErrorKind.FalseSchema) and place[0] == "args":
        return "The task does not take so many arguments by their place."
    if isinstance(kind, ValidationErrorKind.FalseSchema):
        return "This argument is given by its place too."
    if isinstance(kind, ValidationErrorKind.AnyOf):
        alternatives = dict.fromkeys(found[0].message for found in kind.context if found)
        return f"None of what it may be fits: {'; '.join(alternatives)}."
    return f"{message.removesuffix('.')}."


def _what(place: _Place) -> str:
    return "argument" if list(place) == ["kwargs"] else "field"


def _fault(place: _Place, detail: str) -> Fault:
    return Fault(pointer=pointer_to(place), detail=detail)
