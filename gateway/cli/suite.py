"""A suite file: what `gateway run` takes, read and checked, with sentences that point at the line that is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, JsonValue, ValidationError

from gateway.cli.failures import UsageInvalid
from gateway.cli.suite_document import Document, DocumentInvalid, Place, read_document
from gateway.cli.suite_records import RecordsInvalid, read_records
from gateway.records import FIELDS
from workerapp.contract.metrics import Metric
from workerapp.contract.spec import Spec
from workerapp.contract.specs import ConfigurationSpec, EndpointSpec, Name, TestSpec

MAX_SENTENCES = 5

_Model = TypeVar("_Model", bound=BaseModel)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class SuiteInvalid(UsageInvalid):
    """The suite, or the file with its tests, is wrong; each line of the message says where and what would be right."""


class TestSetSource(Spec):
    """Where the tests are: in a file, or here."""

    __test__ = False

    name: Name
    file: Annotated[str, Field(min_length=1)] | None = None
    #: Our name of a field -> the file's name of it.
    fields: dict[str, str] = Field(default_factory=dict)
    tests: Annotated[list[TestSpec], Field(min_length=1)] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class SuiteFile(Spec):
    """What a suite file says."""

    name: Name | None = None
    endpoint: EndpointSpec
    test_set: TestSetSource
    metrics: Annotated[list[Metric], Field(max_length=100)] = Field(default_factory=list)
    run: ConfigurationSpec = Field(default_factory=ConfigurationSpec)


class Suite(Spec):
    """A suite with its tests read; the bodies are what the API takes, without what the file leaves to the server."""

    endpoint: dict[str, Any]
    test_set: dict[str, Any]
    configuration: dict[str, Any]


def load_suite(path: Path, environment: Mapping[str, str] | None = None) -> Suite:
    """Read a suite and its tests.

    Raises:
        SuiteInvalid: it cannot be read, or says something that is not accepted.
    """
    document = _read(path)
    _fill_in_variables(document, path, os.environ if environment is None else environment)
    suite = _validate(SuiteFile, document, path)
    _check_choices(suite, document, path)
    tests = suite.test_set.tests or _read_tests(path, suite.test_set, document)
    run = suite.run.model_dump(mode="json", exclude_unset=True)
    return Suite(
        endpoint=suite.endpoint.model_dump(mode="json", exclude_unset=True),
        test_set={
            **suite.test_set.model_dump(mode="json", include={"name", "metadata"}, exclude_unset=True),
            "tests": [test.model_dump(mode="json", exclude_unset=True) for test in tests],
        },
        configuration={
            "name": suite.name or f"{suite.test_set.name} on {suite.endpoint.name}"[:200],
            "metrics": [metric.model_dump(mode="json", exclude_unset=True) for metric in suite.metrics],
            **run,
        },
    )


def _read(path: Path) -> Document:
    try:
        document = read_document(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SuiteInvalid(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SuiteInvalid(f"{path} is not UTF-8 (byte {error.start})") from error
    except DocumentInvalid as error:
        raise SuiteInvalid(f"{_where(path, error.line)}: {error}") from error
    if not isinstance(document.value, dict):
        raise SuiteInvalid(f"{path} is not a suite: it must have the fields endpoint and test_set")
    return document


def _fill_in_variables(document: Document, path: Path, environment: Mapping[str, str]) -> None:
    """Put environment variables in place of `${NAME}` in the endpoint's URL, headers and auth, where secrets belong."""
    endpoint: Any = document.value.get("endpoint")
    if not isinstance(endpoint, dict):
        return
    texts: list[tuple[Any, str, Place]] = [(endpoint, "url", ("endpoint", "url"))]
    for field in ("headers", "auth"):
        holder: Any = endpoint.get(field)
        texts += [(holder, name, ("endpoint", field, name)) for name in (holder if isinstance(holder, dict) else ())]
    for holder, key, place in texts:
        text = holder.get(key)
        if isinstance(text, str):
            _check_variables(text, document, path, place, environment)
            holder[key] = _VARIABLE.sub(lambda found: environment[found[1]], text)


def _check_variables(
    text: str, document: Document, path: Path, place: Sequence[str | int], environment: Mapping[str, str]
) -> None:
    for name in _VARIABLE.findall(text):
        if name not in environment:
            line = document.nearest(place)[1]
            raise SuiteInvalid(f"{_where(path, line)}: the environment variable {name} is not set")


def _validate(kind: type[_Model], document: Document, path: Path) -> _Model:
    try:
        return kind.model_validate(document.value)
    except ValidationError as error:
        sentences = list(dict.fromkeys(_sentences(error, document, path)))
        shown = sentences[:MAX_SENTENCES]
        if len(sentences) > MAX_SENTENCES:
            shown.append(f"… and {len(sentences) - MAX_SENTENCES} more")
        raise SuiteInvalid("\n".join(shown)) from None


def _sentences(error: ValidationError, document: Document, path: Path) -> Iterator[str]:
    for item in error.errors(include_input=False, include_url=False):
        known, line = document.nearest(item["loc"])
        yield f"{_where(path, line)}: {problem_of(known, item)}"


def problem_of(known: Place, item: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a sentence; `known` is the part of its place that the file has."""
    name = ".".join(map(str, known))
    if item["type"] == "missing":
        return f"{'.'.join(map(str, (*known, item['loc'][-1])))} is missing"
    if item["type"] == "extra_forbidden":
        return f"{name} is not a field that is known here"
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if message.startswith("Input should"):
        return f"{name}{message.removeprefix('Input')}"
    return f"{name}: {message}" if name else message


def _check_choices(suite: SuiteFile, document: Document, path: Path) -> None:
    source = suite.test_set
    if suite.run.metrics:
        raise _invalid(document, path, ("run", "metrics"), "metrics stand beside run, not in it")
    if (source.file is None) == (source.tests is None):
        raise _invalid(document, path, ("test_set",), "test_set must have either file or tests")
    if source.fields and source.file is None:
        raise _invalid(document, path, ("test_set", "fields"), "test_set.fields needs test_set.file")
    for name in source.fields:
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            raise _invalid(document, path, ("test_set", "fields", name), f"{name!r} is not one of the fields {known}")


def _invalid(document: Document, path: Path, place: Sequence[str | int], problem: str) -> SuiteInvalid:
    return SuiteInvalid(f"{_where(path, document.nearest(place)[1])}: {problem}")


def _read_tests(path: Path, source: TestSetSource, document: Document) -> list[TestSpec]:
    file = path.parent / str(source.file)
    tests = []
    try:
        for line, fields in read_records(file, source.fields):
            tests.append(_test(fields, _where(file, line)))
    except RecordsInvalid as error:
        raise SuiteInvalid(str(error)) from error
    except FileNotFoundError as error:
        raise _invalid(document, path, ("test_set", "file"), f"there is no file {file}") from error
    except OSError as error:
        raise SuiteInvalid(f"{file} cannot be read: {error.strerror}") from error
    if not tests:
        raise SuiteInvalid(f"{file} has no tests")
    return tests


def _test(fields: Mapping[str, Any], where: str) -> TestSpec:
    try:
        return TestSpec.model_validate(fields)
    except ValidationError as error:
        item = error.errors(include_input=False, include_url=False)[0]
        raise SuiteInvalid(f"{where}: {problem_of(tuple(item['loc'][:1]), dict(item))}") from None


def _where(path: Path, line: int | None) -> str:
    return f"{path}" if line is None else f"{path}, line {line}"
