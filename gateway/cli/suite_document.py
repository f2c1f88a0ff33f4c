"""A YAML text as values, with the line every value stands on, for messages that point at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

Place: TypeAlias = tuple[str | int, ...]


class DocumentInvalid(Exception):
    """The text is not YAML, or says something twice."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """The values, and where they stand."""

    value: Any
    lines: Mapping[Place, int]

    def nearest(self, place: Sequence[str | int]) -> tuple[Place, int]:
        """The deepest place on the way to `place` that the text has, and its line.

        Steps that are no place of the text are passed over: pydantic names the members of a union in between.
        """
        known: Place = ()
        for step in place:
            if (*known, step) in self.lines:
                known = (*known, step)
        return known, self.lines[known]


class _Loader(yaml.SafeLoader):
    """YAML's safe types without dates: `expected: 2024-01-01` is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's name
        first: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:timestamp"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_document(text: str) -> Document:
    """Read one YAML document.

    Raises:
        DocumentInvalid: with the line where the text cannot be read on.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(None, {(): 1})
        lines: dict[Place, int] = {}
        _note_lines(node, (), lines)
        return Document(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        raise DocumentInvalid(*_problem(error)) from error
    except yaml.YAMLError as error:
        raise DocumentInvalid(f"this is not YAML: {error}", None) from error
    except RecursionError as error:
        raise DocumentInvalid("it is nested too deeply", None) from error
    finally:
        loader.dispose()


def _problem(error: yaml.MarkedYAMLError) -> tuple[str, int | None]:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "it cannot be read"
    return f"this is not YAML: {problem}", mark.line + 1 if mark else None


def _note_lines(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*place, index), lines)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                raise DocumentInvalid(f"{key.value!r} is given twice", key.start_mark.line + 1)
            _note_lines(value, inner, lines)
            lines[inner] = key.start_mark.line + 1
