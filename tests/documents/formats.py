"""Holds blocks of data against what they are said to be: a schema of openapi.yaml, or at least their format."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import yaml

from tests.contract import contract
from tests.documents.blocks import Block

MORE = "…"


def faults(block: Block) -> list[str]:
    """What is wrong with a block of JSON, YAML or TOML."""
    value = read(block)
    if not block.mark:
        return []
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{block.about}"}
    if block.about not in contract().document["components"]["schemas"]:
        return [f"openapi.yaml has no schema {block.about}"]
    return contract().errors(schema, value) if block.mark == "is" else _faults_of_part(schema, value)


def read(block: Block) -> Any:
    if block.language == "toml":
        return tomllib.loads(block.text)
    return json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)


def _faults_of_part(schema: dict[str, Any], value: dict[str, Any]) -> list[str]:
    """Of each field that is there; one that is not in the schema at all is a fault."""
    known = contract().resolve(schema)["properties"]
    found = [f"/{name} is not in it" for name in value if name not in known and name != MORE]
    for name, item in value.items():
        if name in known and MORE not in json.dumps(item, ensure_ascii=False):
            found += [f"/{name}: {fault}" for fault in contract().errors(known[name], item)]
    return found
