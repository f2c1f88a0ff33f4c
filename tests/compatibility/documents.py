"""What breaks for clients of one `openapi.yaml` that meet a server of another: paths, parameters, bodies, answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from tests.compatibility.schemas import Narrowing, Schema

Document: TypeAlias = dict[str, Any]

#: The day from which on a deprecated operation may be gone.
SUNSET = "x-sunset"
_METHODS = ("get", "post", "put", "patch", "delete")


def breaks(old: Document, new: Document) -> list[str]:
    """A sentence for each thing that worked with the old document and does not with the new one."""
    return list(_Comparison(old, new).find())


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old, new
        self._old_of, self._new_of = _resolver(old), _resolver(new)

    def find(self) -> Iterator[str]:
        served = dict(_operations(self._new))
        for (method, path), old in _operations(self._old):
            new = served.get((method, path))
            where = f"{method.upper()} {path}"
            if new is None:
                if not _is_over(old):
                    yield f"{where}: it is gone"
            else:
                yield from self._operation(where, old, new)

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{where}: it is called {new['operationId']} and was {old['operationId']}"
        yield from self._security(where, old, new)
        yield from self._parameters(where, old, new)
        yield from self._body(where, old, new)
        yield from self._answers(where, old, new)

    def _security(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, now = old.get("security", self._old.get("security")), new.get("security", self._new.get("security"))
        for one in before or [{}]:
            if one not in (now or [{}]):
                yield f"{where}: {' and '.join(one) or 'nobody'} opens it no more"

    def _parameters(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before = {(one["in"], one["name"]): one for one in map(self._old_of, old["parameters"])}
        now = {(one["in"], one["name"]): one for one in map(self._new_of, new["parameters"])}
        for key, parameter in before.items():
            if key not in now:
                yield f"{where}: the parameter {key[1]} is gone"
            else:
                yield from self._sent(parameter["schema"], now[key]["schema"], f"{where}: {key[1]}")
        for key, parameter in now.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{where}: the parameter {key[1]} is required"

    def _body(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, now = self._old_of(old.get("requestBody", {})), self._new_of(new.get("requestBody", {}))
        if now.get("required") and not before.get("required"):
            yield f"{where}: a body is required"
        for kind, media in before.get("content", {}).items():
            if kind not in now.get("content", {}):
                yield f"{where}: a body of {kind} is not accepted any more"
            else:
                yield from self._sent(media["schema"], now["content"][kind]["schema"], f"{where}: the body")

    def _answers(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, now = old["responses"], new["responses"]
        for status in sorted(_good(now) - _good(before)):
            yield f"{where}: {status} is a success that was not answered before"
        for status in sorted(_good(before) & _good(now)):
            yield from self._answer(f"{where} {status}", self._old_of(before[status]), self._new_of(now[status]))

    def _answer(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        headers = new.get("headers", {})
        for name, header in old.get("headers", {}).items():
            if name not in headers:
                yield f"{where}: the header {name} is gone"
            elif self._old_of(header).get("required") and not self._new_of(headers[name]).get("required"):
                yield f"{where}: the header {name} may be missing now"
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: it is not answered as {kind} any more"
            else:
                yield from self._received(media["schema"], new["content"][kind]["schema"], where)

    def _sent(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        return Narrowing(wide_of=self._old_of, narrow_of=self._new_of, is_answer=False).find(old, new, at)

    def _received(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        return Narrowing(wide_of=self._new_of, narrow_of=self._old_of, is_answer=True).find(new, old, at)


def _is_over(operation: Schema) -> bool:
    """Whether it was said long enough that the operation would be gone."""
    return bool(operation.get("deprecated")) and operation[SUNSET] <= datetime.now(UTC).date().isoformat()


def _operations(document: Document) -> Iterator[tuple[tuple[str, str], Schema]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                yield (method, path), operation | {"parameters": parameters}


def _resolver(document: Document) -> Callable[[Schema], Schema]:
    def resolve(item: Schema) -> Schema:
        while "$ref" in item:
            target: Any = document
            for part in item["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            item = target
        return item

    return resolve


def _good(responses: Schema) -> set[str]:
    return {status for status in responses if status < "300"}
