"""Requests made from the document: what schemathesis draws, with ids of real objects in the places of ids."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core import NotSet

from tests.contract import DOCUMENT

Ids = Mapping[str, list[str]]
#: Headers that belong to whoever sends the request, or to the connection.
_NOT_DRAWN = {"authorization", "content-type", "upgrade"}
_OWN, _FOREIGN = 0.6, 0.3


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A request that is ready to be sent."""

    label: str
    method: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    content: bytes | None
    #: Whatever ids of the other organization it holds.
    foreign: frozenset[str]

    def text(self) -> str:
        """How it could be sent again."""
        body = "" if self.content is None else f" {self.content.decode(errors='replace')[:600]}"
        return f"{self.method} {self.path} {self.query} {self.headers}{body}"


class Document:
    """The operations of openapi.yaml, as schemathesis reads them."""

    def __init__(self) -> None:
        schema = schemathesis.openapi.from_path(DOCUMENT)
        self.operations = {
            operation.label: operation for operation in (each.ok() for each in schema.get_all_operations())
        }

    def cases(self, label: str, mode: GenerationMode, count: int, seed: int) -> list[Case]:
        """So many requests to an operation; the same for the same seed."""
        cases: list[Case] = []

        @hypothesis.seed(f"{seed} {label} {mode}")
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(self.operations[label].as_strategy(mode))
        def draw(case: Case) -> None:
            cases.append(case)

        with suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
            draw()
        return cases


class Addresser:
    """Puts ids where a request has ids: mostly of what the caller owns, often of what the other organization owns."""

    def __init__(self, random: Random, own: Ids, foreign: Mapping[str, str]) -> None:
        self._random = random
        self._own = own
        self._foreign = foreign

    def address(self, label: str, case: Case) -> Drawn:
        """The request of a case, with ids."""
        used: set[str] = set()
        places = {name: self._value(name, value, used) for name, value in (case.path_parameters or {}).items()}
        path = case.path
        for name, value in places.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        body = None if isinstance(case.body, NotSet) else self._filled(case.body, used)
        headers = {name: _text(value) for name, value in (case.headers or {}).items() if name.lower() not in _NOT_DRAWN}
        if case.media_type is not None and body is not None:
            headers["Content-Type"] = case.media_type
        return Drawn(
            label=label,
            method=case.method,
            path=path,
            query={name: self._value(name, value, used) for name, value in (case.query or {}).items()},
            headers=headers,
            content=None if isinstance(case.body, NotSet) else _encoded(body, case.media_type),
            foreign=frozenset(used),
        )

    def _filled(self, value: Any, used: set[str]) -> Any:
        if isinstance(value, dict):
            return {
                name: self._value(name, inner, used) if self._known(name) else self._filled(inner, used)
                for name, inner in value.items()
            }
        return [self._filled(inner, used) for inner in value] if isinstance(value, list) else value

    def _known(self, name: str) -> bool:
        return name.removesuffix("s") in self._own.keys() | self._foreign.keys()

    def _value(self, name: str, drawn: Any, used: set[str]) -> Any:
        """An id of the kind that the name asks for, or what was drawn."""
        kind = name.removesuffix("s")
        if isinstance(drawn, list) and self._known(name):
            return [self._value(kind, inner, used) for inner in drawn[:3]]
        chance = self._random.random()
        if not self._known(name) or chance > _OWN + _FOREIGN:
            return drawn
        if self._own.get(kind) and (chance < _OWN or kind not in self._foreign):
            return self._random.choice(self._own[kind])
        used.add(self._foreign[kind])
        return self._foreign[kind]


def _text(value: Any) -> str:
    """As a header can hold it."""
    return "".join(letter for letter in str(value) if "\x20" <= letter <= "\x7e").strip()


def _encoded(body: Any, media_type: str | None) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str) and media_type != "application/json":
        return body.encode(errors="surrogatepass")
    return json.dumps(body).encode()


def rounds(seed: int) -> Iterator[int]:
    """A seed for each round."""
    random = Random(seed)
    while True:
        yield random.randrange(2**32)
