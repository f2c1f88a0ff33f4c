"""Writes the pages of the REST reference: one for each tag of openapi.yaml, and one with all schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")


class Reference:
    """openapi.yaml, as pages of Markdown."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def pages(self) -> dict[str, str]:
        """The text of each page, by its name."""
        tags = {tag["name"]: tag["description"] for tag in self._document["tags"]}
        pages = {f"{name}.md": self._page(name, purpose) for name, purpose in tags.items()}
        return pages | {"index.md": self._overview(tags), "schemas.md": self._schemas()}

    def _overview(self, tags: dict[str, str]) -> str:
        info = self._document["info"]
        rows = [f"| [{_title(name)}]({name}.md) | {purpose} |" for name, purpose in tags.items()]
        table = ["| | |", "|---|---|", *rows]
        return "\n".join([f"# {info['title']}, {info['version']}", "", info["description"], "", "## Pages", "", *table])

    def _page(self, tag: str, purpose: str) -> str:
        parts = [f"# {_title(tag)}", purpose]
        for path, item in self._document["paths"].items():
            for method in _METHODS:
                if method in item and tag in item[method]["tags"]:
                    parts += self._operation(method, path, item)
        return "\n\n".join(parts)

    def _operation(self, method: str, path: str, item: dict[str, Any]) -> Iterator[str]:
        operation = item[method]
        yield f"## {operation['summary']} {{ #{operation['operationId']} }}"
        yield f"`{method.upper()} {path}`"
        yield operation.get("description", "").strip()
        parameters = [self._resolved(one) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        if parameters:
            yield _table(
                ("parameter", "in", "is", "means"),
                [
                    (f"`{one['name']}`", one["in"], self._type(one["schema"]), one.get("description", ""))
                    for one in parameters
                ],
            )
        if "requestBody" in operation:
            yield from self._body(self._resolved(operation["requestBody"]))
        yield _table(("answer", "has", "means"), list(self._answers(operation["responses"])))

    def _body(self, body: dict[str, Any]) -> Iterator[str]:
        for media_type, content in body["content"].items():
            yield f"Body, `{media_type}`: {self._type(content['schema'])}"
            if "example" in content and media_type == "application/json":
                yield "```json\n" + json.dumps(content["example"], indent=2, ensure_ascii=False, default=str) + "\n```"

    def _answers(self, responses: dict[str, Any]) -> Iterator[tuple[str, ...]]:
        for status, response in responses.items():
            answer = self._resolved(response)
            types = {self._type(content["schema"]) for content in answer.get("content", {}).values()}
            yield status, ", ".join(sorted(types)), answer["description"]

    def _schemas(self) -> str:
        parts = ["# Schemas"]
        for name, schema in self._document["components"]["schemas"].items():
            parts += [f"## {name} {{ #{name} }}", schema.get("description", "").strip(), *self._fields(schema)]
        return "\n\n".join(filter(None, parts))

    def _fields(self, schema: dict[str, Any]) -> Iterator[str]:
        if "properties" not in schema:
            yield self._type(schema)
            return
        needed = schema.get("required", ())
        yield _table(
            ("field", "is", "means"),
            [
                (
                    f"`{name}`" + (" (needed)" if name in needed else ""),
                    self._type(field),
                    field.get("description", "") + _default(field),
                )
                for name, field in schema["properties"].items()
            ],
        )

    def _type(self, schema: dict[str, Any]) -> str:
        """What a value is, in few words, with a link where it is a schema of its own."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return (
                f"[{name}](schemas.md#{name})" if "/schemas/" in schema["$ref"] else self._type(self._resolved(schema))
            )
        for key in ("oneOf", "anyOf", "allOf"):
            if key in schema:
                return (" and " if key == "allOf" else " or ").join(self._type(one) for one in schema[key])
        if "const" in schema or "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
        types = schema.get("type", "anything")
        words = " or ".join(types) if isinstance(types, list) else types
        return f"{words} of {self._type(schema['items'])}" if "items" in schema else words

    def _resolved(self, item: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in item:
            target: Any = self._document
            for part in item["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            item = target
        return item


def _title(tag: str) -> str:
    return tag.replace("-", " ").capitalize()


def _default(field: dict[str, Any]) -> str:
    return f" By default `{json.dumps(field['default'])}`." if "default" in field else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
