"""JSON Schemas written by tenants: complete in themselves, bounded, and checked before they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

# Only ever given the draft's own schema to compile (some schemas keep its compiler busy for ever): it checks in a
# millisecond what takes `jsonschema` a second.
import jsonschema_rs
from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from workerapp.contract.json_values import as_json
from workerapp.contract.patterns import compile_pattern

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_LENGTH = 20_000
_MAX_REASON_LENGTH = 300
_REFERENCES = ("$ref", "$dynamicRef")

#: A subschema, and what resolves the references in it.
_Located: TypeAlias = tuple[Any, Any]


class SchemaInvalid(ValueError):
    """The schema cannot be used; the message says why."""


def check_schema(schema: dict[str, Any]) -> None:
    """Raise `SchemaInvalid` unless this is a schema of draft 2020-12 that refers to nothing outside of itself."""
    text = as_json(schema)
    if len(text) > MAX_SCHEMA_LENGTH:
        raise SchemaInvalid(f"the schema has {len(text)} characters; at most {MAX_SCHEMA_LENGTH} are accepted")
    try:
        _check(text)
    except RecursionError:
        raise SchemaInvalid("the schema is nested too deeply") from None


@lru_cache(maxsize=256)
def _check(text: str) -> None:
    # The tests of a set often share a schema, which is checked once.
    schema = json.loads(text)
    dialect = schema.get("$schema", DIALECT)
    if dialect != DIALECT:
        raise SchemaInvalid(f"the schema is written for {dialect!r}; what is accepted is {DIALECT}")
    _check_keywords(schema)
    resource = DRAFT202012.create_resource(schema)
    pending: list[_Located] = [(schema, REGISTRY.resolver_with_root(resource))]
    seen: set[int] = set()
    keywords: set[str] = set()
    while pending:
        located = list(_subschemas(pending, seen))
        for contents, _ in located:
            _check_patterns(contents)
            keywords.update(contents)
        # A reference may lead to what no keyword holds, and what was therefore not checked yet.
        pending = [target for target in _targets(located) if id(target[0]) not in seen]
        for contents, _ in pending:
            _check_keywords(contents)
    if {"unevaluatedProperties", "patternProperties"} <= keywords:
        # To tell what is evaluated the library searches with patterns of its own accord, and nothing could stop it.
        raise SchemaInvalid("unevaluatedProperties and patternProperties are not accepted in one schema")


def _check_keywords(schema: Any) -> None:
    try:
        jsonschema_rs.meta.validate(schema if isinstance(schema, bool) else {**schema, "$schema": DIALECT})
    except jsonschema_rs.ValidationError as exc:
        place = "/".join(map(str, exc.instance_path)) or "its top"
        raise SchemaInvalid(f"this is not a JSON Schema: {exc.message[:_MAX_REASON_LENGTH]} (at {place})") from None
    except (TypeError, ValueError) as exc:
        raise SchemaInvalid(f"this is not a JSON Schema: {str(exc)[:_MAX_REASON_LENGTH]}") from None


def _subschemas(pending: list[_Located], seen: set[int]) -> Iterator[_Located]:
    """Each subschema that keywords hold, once."""
    while pending:
        contents, resolver = pending.pop()
        if id(contents) in seen or not isinstance(contents, dict):
            continue
        seen.add(id(contents))
        yield contents, resolver
        inner = DRAFT202012.create_resource(contents).subresources()
        pending.extend((each.contents, resolver.in_subresource(each)) for each in inner)


def _targets(located: list[_Located]) -> Iterator[_Located]:
    for contents, resolver in located:
        for reference in (contents[name] for name in _REFERENCES if name in contents):
            try:
                target = resolver.lookup(reference)
            except Unresolvable:
                raise SchemaInvalid(
                    f"the reference {reference[:_MAX_REASON_LENGTH]!r} leads to nothing in the schema; "
                    "nothing is fetched from elsewhere"
                ) from None
            yield target.contents, target.resolver


def _check_patterns(schema: dict[str, Any]) -> None:
    if "pattern" in schema:
        compile_pattern(schema["pattern"])
    for pattern in schema.get("patternProperties", {}):
        compile_pattern(pattern)
