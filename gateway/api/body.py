"""The body of a request: JSON, read into a model that takes nothing it does not know."""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from gateway.api.faults import invalid, pointer_to
from gateway.errors import Fault, MalformedJson, UnsupportedMediaType, ValidationFailed

_Model = TypeVar("_Model", bound=BaseModel)

#: NUL, or a number that may be too large for a float: rare, so only then the whole document is looked through.
_SUSPICIOUS = re.compile(rb"\\u0000|[0-9][eE]\+?[0-9]{2}|[0-9]{300}")


async def read_body(request: Request, model: type[_Model], *, default: bytes | None = None) -> _Model:
    """The body as `model`; an empty one counts as `default`, where there is one.

    Raises:
        UnsupportedMediaType: it is not declared as JSON.
        MalformedJson: it is not JSON.
        ValidationFailed: it is JSON of another shape, or has values that nobody can store.
    """
    raw = await request.body()
    if not raw and default is not None:
        raw = default
    else:
        _check_media_type(request)
    document = _parse(raw)
    if _SUSPICIOUS.search(raw):
        check_storable(document)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise invalid(error, document) from None


def _check_media_type(request: Request) -> None:
    declared = request.headers.get("content-type", "")
    media_type, _, parameters = declared.lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\";\s]+)", parameters)
    if media_type.strip() != "application/json" or (charset and charset[1] not in ("utf-8", "utf8")):
        sent = f"this one was sent as {declared[:100]!r}" if declared else "this one has no Content-Type"
        raise UnsupportedMediaType(f'The body must be JSON, sent with "Content-Type: application/json"; {sent}.')


def _parse(raw: bytes) -> Any:
    if not raw.strip():
        raise MalformedJson("The body is empty; a JSON object is needed.")
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON: {error}.") from None


def check_storable(value: Any, path: tuple[str | int, ...] = ()) -> None:
    """Refuse values that JSON can have and the database cannot.

    Raises:
        ValidationFailed: with the place of the first one.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, path)
            check_storable(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_storable(item, (*path, index))
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _unstorable("The number is too large.", path)


def _check_text(text: str, path: tuple[str | int, ...]) -> None:
    if "\0" in text:
        raise _unstorable("The text has a NUL character, which cannot be stored.", path)


def _unstorable(detail: str, path: tuple[str | int, ...]) -> ValidationFailed:
    pointer = pointer_to(path)
    return ValidationFailed(f"{detail} (at {pointer or 'the top'})", faults=[Fault(pointer=pointer, detail=detail)])
