"""Holds requests and answers against `openapi.yaml`."""

from __future__ import annotations

import json
import re
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parents[1] / "openapi.yaml"
_URI = "urn:openapi"
_METHODS = ("get", "post", "put", "patch", "delete")
#: What every path may answer before anybody looks at it; the document says so in its description.
_OF_ANY_PATH = {408: "RequestTooSlow", 414: "UrlTooLong", 421: "HostRefused", 431: "HeadersTooLarge"}


class ContractBroken(AssertionError):
    """What was sent or answered is not what the document says."""


class Contract:
    """The document, and checks against it."""

    @cached_property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
        return document

    @cached_property
    def _registry(self) -> Registry[Any]:
        registry: Registry[Any] = Registry().with_resource(_URI, DRAFT202012.create_resource(self.document))
        return registry

    def operations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every operation by its method, in capitals, and its path."""
        return {
            (method.upper(), path): item[method]
            for path, item in self.document["paths"].items()
            for method in _METHODS
            if method in item
        }

    def resolve(self, item: dict[str, Any]) -> dict[str, Any]:
        """What a `$ref` within the document means."""
        while "$ref" in item:
            target: Any = self.document
            for part in item["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            item = target
        return item

    def errors(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What is wrong with a value; references in the schema are into the document."""
        validator = Draft202012Validator(_absolute(schema), registry=self._registry, format_checker=FormatChecker())
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def payload_errors(self, payload: dict[str, Any]) -> list[str]:
        """What is wrong with the body of a webhook, by what the document says of its type."""
        operation = self.document["webhooks"][payload["type"]]["post"]
        return self.errors(operation["requestBody"]["content"]["application/json"]["schema"], payload)

    def path_of(self, path: str) -> str | None:
        """The path as the document has it: with the names of its parameters."""
        for template in self.document["paths"]:
            if re.fullmatch(re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(template)), path):
                return str(template)
        return None

    def check(self, response: httpx.Response) -> None:
        """Raise if the answer, or the request of a successful one, is not in the document."""
        request = response.request
        path = self.path_of(request.url.path)
        operation = self.operations().get((request.method, path or ""))
        if operation is None:
            # Of paths and methods that do not exist the document says only that they are answered with a problem.
            self._check_problem(response, (404, 405))
            return
        where = f"{request.method} {path} {response.status_code}"
        answers = self._refusals | operation["responses"]
        if str(response.status_code) not in answers:
            raise ContractBroken(f"{where}: this status is not in the document: {response.text[:500]}")
        self._check_answer(where, self.resolve(answers[str(response.status_code)]), response)
        if response.is_success and _is_kept(request) and request.content and "requestBody" in operation:
            sent = request.headers["content-type"].partition(";")[0]
            schema = operation["requestBody"]["content"][sent]["schema"]
            value = json.loads(request.content) if sent == "application/json" else request.content.decode()
            self._report(f"{where}: the request", self.errors(schema, value))

    @property
    def _refusals(self) -> dict[str, Any]:
        responses = self.document["components"]["responses"]
        return {str(status): responses[name] for status, name in _OF_ANY_PATH.items()}

    def _check_answer(self, where: str, answer: dict[str, Any], response: httpx.Response) -> None:
        for name, item in answer.get("headers", {}).items():
            header = self.resolve(item)
            if header.get("required") and name not in response.headers:
                raise ContractBroken(f"{where}: the header {name} is missing")
        if "content" not in answer:
            self._report(where, ["there is a body"] if response.content else [])
            return
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if media_type not in answer["content"]:
            raise ContractBroken(f"{where}: {media_type or 'no type'} is not in the document")
        value = response.json() if media_type.endswith(("/json", "+json")) else response.text
        self._report(where, self.errors(answer["content"][media_type]["schema"], value))

    def _check_problem(self, response: httpx.Response, statuses: tuple[int, ...]) -> None:
        where = f"{response.request.method} {response.request.url.path}"
        if response.status_code not in statuses:
            raise ContractBroken(f"{where} is not in the document but answers {response.status_code}")
        self._report(where, self.errors({"$ref": "#/components/schemas/Problem"}, response.json()))

    @staticmethod
    def _report(where: str, errors: list[str]) -> None:
        if errors:
            raise ContractBroken(f"{where}: " + "; ".join(errors))


@cache
def contract() -> Contract:
    return Contract()


def _is_kept(request: httpx.Request) -> bool:
    """Whether the body can still be looked at: one that was made while it was sent cannot."""
    try:
        return request.content is not None
    except httpx.RequestNotRead:
        return False


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _URI + value if key == "$ref" and value.startswith("#") else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema
