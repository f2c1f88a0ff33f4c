"""What pydantic found wrong, in sentences for callers, with JSON pointers into what they sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from gateway.errors import (
    Fault,
    MalformedJson,
    MappingInvalid,
    PatternInvalid,
    TemplateInvalid,
    UrlRefused,
    ValidationFailed,
)
from workerapp.contract import mapping, outbound, patterns, template

MOST_FAULTS = 20

#: What a validator of the contract raises, and the error callers get for it.
_SPECIAL: dict[type[object], type[ValidationFailed]] = {
    outbound.OutboundRefused: UrlRefused,
    template.TemplateInvalid: TemplateInvalid,
    mapping.MappingInvalid: MappingInvalid,
    patterns.PatternInvalid: PatternInvalid,
}
_SENTENCES = {
    "missing": "This field is missing.",
    "extra_forbidden": "There is no such field.",
}


def invalid(error: ValidationError, document: Any) -> ValidationFailed | MalformedJson:
    """The answer for a body that does not fit its model; `document` is the body as parsed."""
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return MalformedJson(f"The body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}.")
    faults = _unique(_fault(dict(item), document) for item in found)
    kinds = {_SPECIAL.get(type(_cause(dict(item))), ValidationFailed) for item in found}
    kind = kinds.pop() if len(kinds) == 1 else ValidationFailed
    return kind(_summary(faults), faults=faults[:MOST_FAULTS])


def invalid_parameters(error: ValidationError) -> ValidationFailed:
    """The answer for query parameters that do not fit their model."""
    found = error.errors(include_url=False, include_input=False)
    faults = [
        Fault(parameter=str(item["loc"][0]) if item["loc"] else None, detail=_sentence(dict(item), "parameter"))
        for item in found
    ]
    return ValidationFailed(_summary(faults), faults=faults[:MOST_FAULTS])


def invalid_parameter(name: str, detail: str) -> ValidationFailed:
    """The answer for one query parameter or header."""
    fault = Fault(parameter=name, detail=detail)
    return ValidationFailed(_summary([fault]), faults=[fault])


def invalid_fields(faults: Sequence[Fault]) -> ValidationFailed:
    """The answer for fields whose values fit their model, and yet cannot be used."""
    return ValidationFailed(_summary(faults), faults=faults[:MOST_FAULTS])


def pointer_to(path: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _fault(item: dict[str, Any], document: Any) -> Fault:
    inner = getattr(_cause(item), "pointer", "")
    return Fault(pointer=pointer_to(_path(item, document)) + inner, detail=_sentence(item, "field"))


def _cause(item: dict[str, Any]) -> Exception | None:
    cause: Exception | None = item.get("ctx", {}).get("error")
    return cause


def _path(item: dict[str, Any], document: Any) -> list[str | int]:
    """Where in the document it is: pydantic's location without the names of the alternatives of a union."""
    path: list[str | int] = []
    for part in item["loc"]:
        try:
            document = document[part]
        except (TypeError, KeyError, IndexError):
            continue
        path.append(part)
    if item["type"] == "missing":
        path.append(item["loc"][-1])
    return path


def _sentence(item: dict[str, Any], what: str) -> str:
    if item["type"] in _SENTENCES:
        return _SENTENCES[item["type"]].replace("field", what)
    message = str(item["msg"]).removeprefix("Value error, ").removesuffix(".")
    return f"{message[:1].upper()}{message[1:]}."


def _unique(faults: Iterable[Fault]) -> list[Fault]:
    return list(dict.fromkeys(faults))


def _summary(faults: Sequence[Fault]) -> str:
    first = faults[0]
    where = f"parameter {first.parameter}" if first.parameter else first.pointer or "the body"
    more = f" ({len(faults) - 1} more in errors.)" if len(faults) > 1 else ""
    return f"{where}: {first.detail}{more}"
