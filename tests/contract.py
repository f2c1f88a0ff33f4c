"""Holds requests and answers against `openapi.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parents[1] / "openapi.yaml"
#: The one that is written in C takes a seventh of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_URI = "urn:openapi"
EVENT_STREAM = "text/event-stream"
#: Events that a stream tells of itself, under a name and with a cursor.
_NOTICES = ("reset", "lagged", "draining", "unauthorized")
_PREFLIGHT_ANSWER = 204
_METHODS = ("get", "post", "put", "patch", "delete")
#: What every path may answer before anybody looks at it; the document says so in its description.
_OF_ANY_PATH = {408: "RequestTooSlow", 414: "UrlTooLong", 421: "HostRefused", 431: "HeadersTooLarge"}


class ContractBroken(AssertionError):
    """What was sent or answered is not what the document says."""


class Contract:
    """The document, and checks against it."""

    @cached_property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.load(DOCUMENT.read_bytes(), _LOADER)
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
        asked = self._asked(response)
        if asked is None or response.request.method == "HEAD":
            return
        where, answer, operation = asked
        self._check_answer(where, answer, response)
        if response.is_success:
            self._check_request(where, operation, response.request)

    def check_beginning(self, response: httpx.Response) -> None:
        """The same for an answer of which only the head is there."""
        asked = self._asked(response)
        if asked is not None and response.is_success:
            where, _, operation = asked
            self._check_request(where, operation, response.request)

    def check_event(self, where: str, name: str, data: str) -> None:
        """Raise if an event of a stream is none of those that the document tells of."""
        value = json.loads(data)
        if name == "message":
            self._report(where, self.errors({"$ref": "#/components/schemas/Event"}, value))
        elif name not in _NOTICES or value.keys() != {"cursor"}:
            raise ContractBroken(f"{where}: the event {name} with {data} is not in the document")

    def _asked(self, response: httpx.Response) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
        """Where it is, the answer as the document has it, with its headers checked, and the operation."""
        request = response.request
        if request.method == "OPTIONS" and response.status_code == _PREFLIGHT_ANSWER:
            return None
        path = self.path_of(request.url.path)
        method = "GET" if request.method == "HEAD" else request.method
        operation = self.operations().get((method, path or ""))
        if operation is None:
            # Of paths and methods that do not exist the document says only that they are answered with a problem.
            self._check_problem(response, (404, 405))
            return None
        where = f"{request.method} {path} {response.status_code}"
        answers = self._refusals | operation["responses"]
        if str(response.status_code) not in answers:
            raise ContractBroken(f"{where}: this status is not in the document: {response.headers}")
        answer = self.resolve(answers[str(response.status_code)])
        self._check_headers(where, answer, response)
        return where, answer, operation

    def _check_request(self, where: str, operation: dict[str, Any], request: httpx.Request) -> None:
        self._check_query(where, operation, request)
        if _is_kept(request) and request.content and "requestBody" in operation:
            sent = request.headers["content-type"].partition(";")[0]
            schema = operation["requestBody"]["content"][sent]["schema"]
            value = json.loads(request.content) if sent == "application/json" else request.content.decode()
            self._report(f"{where}: the request", self.errors(schema, value))

    def _check_query(self, where: str, operation: dict[str, Any], request: httpx.Request) -> None:
        known = {item["name"]: item for item in self._parameters(operation) if item["in"] == "query"}
        secrets = {scheme.get("name") for scheme in self.document["components"]["securitySchemes"].values()}
        for name, text in request.url.params.multi_items():
            if name in secrets:
                continue
            if name not in known:
                raise ContractBroken(f"{where}: the parameter {name} is not in the document")
            schema = self.resolve(known[name]["schema"])
            one = schema["items"] if schema.get("type") == "array" else schema
            # Where lists do not explode, one parameter has all their values.
            parts = [text] if known[name].get("explode", True) else text.split(",")
            for part in parts:
                value = int(part) if self.resolve(one).get("type") == "integer" else part
                self._report(f"{where}: the parameter {name}", self.errors(one, value))

    def _parameters(self, operation: dict[str, Any]) -> list[dict[str, Any]]:
        holder = next(
            item for item in self.document["paths"].values() if any(one is operation for one in item.values())
        )
        of_path = holder.get("parameters", ())
        return [self.resolve(item) for item in (*of_path, *operation.get("parameters", ()))]

    @property
    def _refusals(self) -> dict[str, Any]:
        responses = self.document["components"]["responses"]
        return {str(status): responses[name] for status, name in _OF_ANY_PATH.items()}

    def _check_headers(self, where: str, answer: dict[str, Any], response: httpx.Response) -> None:
        for name, item in answer.get("headers", {}).items():
            header, text = self.resolve(item), response.headers.get(name)
            if text is not None:
                value = int(text) if header["schema"].get("type") == "integer" else text
                self._report(f"{where}: the header {name}", self.errors(header["schema"], value))
            elif header.get("required"):
                raise ContractBroken(f"{where}: the header {name} is missing")
        media_type = _media_type(response)
        if "content" in answer and media_type not in answer["content"]:
            raise ContractBroken(f"{where}: {media_type or 'no type'} is not in the document")

    def _check_answer(self, where: str, answer: dict[str, Any], response: httpx.Response) -> None:
        if "content" not in answer:
            self._report(where, ["there is a body"] if response.content else [])
            return
        media_type = _media_type(response)
        if media_type == EVENT_STREAM:
            for name, data in read_events(response.text.splitlines()):
                self.check_event(where, name, data)
            return
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


def read_events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The name and the data of each event, by the standard's rules as far as the gateway uses them."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield fields.get("event", "message"), fields["data"]
        fields = {}


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0]


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
