"""Whether one JSON Schema takes all that another one does: what was sent must be accepted, what comes must be known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_UNCHANGED = ("pattern", "format", "const", "not", "uniqueItems", "multipleOf", "dependentRequired")
_ALTERNATIVES = ("oneOf", "anyOf")
#: Of an enumeration in answers that clients are told to expect more of.
MAY_GROW = "x-may-grow"


@dataclass(frozen=True, kw_only=True)
class Narrowing:
    """Finds what `wide` takes and `narrow` does not.

    For a request `wide` is the old schema, for an answer the new one. What an answer has more of is no break: clients
    pass over fields that they do not know.
    """

    wide_of: Callable[[Schema], Schema]
    narrow_of: Callable[[Schema], Schema]
    is_answer: bool
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def find(self, wide: Schema, narrow: Schema, at: str) -> Iterator[str]:
        """A sentence for each difference that breaks something."""
        pair = (str(wide.get("$ref")), str(narrow.get("$ref")))
        if "$ref" in wide and "$ref" in narrow:
            if pair in self._seen:
                return
            self._seen.add(pair)
        wide, narrow = self.wide_of(wide), self.narrow_of(narrow)
        yield from self._values(wide, narrow, at)
        yield from self._limits(wide, narrow, at)
        yield from self._alternatives(wide, narrow, at)
        yield from self._properties(wide, narrow, at)
        if isinstance(wide.get("items"), dict) and isinstance(narrow.get("items"), dict):
            yield from self.find(wide["items"], narrow["items"], f"{at}[]")

    def _values(self, wide: Schema, narrow: Schema, at: str) -> Iterator[str]:
        more = _types(wide) - _types(narrow)
        if more and _types(narrow):
            yield f"{at}: the type {', '.join(sorted(more))} {self._is_other}"
        if "enum" in narrow:
            others = [value for value in wide.get("enum", [...]) if value not in narrow["enum"]]
            if others and not (self.is_answer and wide.get(MAY_GROW)):
                yield f"{at}: the values {others} {self._is_other}"
        for word in _UNCHANGED:
            if word in narrow and narrow[word] != wide.get(word):
                yield f"{at}: {word} is another one"

    def _limits(self, wide: Schema, narrow: Schema, at: str) -> Iterator[str]:
        for word in _LOWEST:
            if word in narrow and (word not in wide or wide[word] < narrow[word]):
                yield f"{at}: {word} {self._is_other}"
        for word in _HIGHEST:
            if word in narrow and (word not in wide or wide[word] > narrow[word]):
                yield f"{at}: {word} {self._is_other}"

    def _alternatives(self, wide: Schema, narrow: Schema, at: str) -> Iterator[str]:
        for word in _ALTERNATIVES:
            for number, alternative in enumerate(wide.get(word, ())):
                if word in narrow and not self._is_among(alternative, narrow[word], at):
                    yield f"{at}: alternative {number} of {word} {self._is_other}"
            if (word in wide) != (word in narrow):
                yield f"{at}: {word} is there in one of both only"

    def _is_among(self, alternative: Schema, others: list[Schema], at: str) -> bool:
        attempts = (Narrowing(wide_of=self.wide_of, narrow_of=self.narrow_of, is_answer=self.is_answer) for _ in others)
        return any(
            not list(attempt.find(alternative, other, at)) for attempt, other in zip(attempts, others, strict=True)
        )

    def _properties(self, wide: Schema, narrow: Schema, at: str) -> Iterator[str]:
        ours, theirs = wide.get("properties", {}), narrow.get("properties", {})
        for name in narrow.get("required", ()):
            if name not in wide.get("required", ()):
                yield f"{at}/{name}: it {'may be missing' if self.is_answer else 'is required'} now"
        for name, schema in ours.items():
            if name in theirs:
                yield from self.find(schema, theirs[name], f"{at}/{name}")
            elif not self.is_answer and narrow.get("additionalProperties") is False:
                yield f"{at}/{name}: it is not accepted any more"
        for name in theirs.keys() - ours.keys() if self.is_answer else ():
            yield f"{at}/{name}: it is not answered any more"
        if not self.is_answer and narrow.get("additionalProperties") is False is not wide.get("additionalProperties"):
            yield f"{at}: other fields are not accepted any more"
        both = wide.get("additionalProperties"), narrow.get("additionalProperties")
        if isinstance(both[0], dict) and isinstance(both[1], dict):
            yield from self.find(both[0], both[1], f"{at}/*")

    @property
    def _is_other(self) -> str:
        return "was not answered before" if self.is_answer else "is not accepted any more"


def _types(schema: Schema) -> set[str]:
    given = schema.get("type", [])
    types = {given} if isinstance(given, str) else set(given)
    # Each integer is a number.
    return types | {"integer"} if "number" in types else types
