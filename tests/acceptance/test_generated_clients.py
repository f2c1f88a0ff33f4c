"""Clients that are generated from `openapi.yaml`: nothing is left out of them, and they do what callers do."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.clients.generation import GENERATORS, PROGRAMS, ToolMissing, generate
from tests.clients.scenarios import compiled
from tests.contract import contract
from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.process import ROOT
from tests.stack.services import Gateway

# The first run makes the clients; each later one has them, until the document is another one.
pytestmark = pytest.mark.timeout(400)

T = TypeVar("T")

each_language = pytest.mark.parametrize("language", GENERATORS)
SAID = """\
completed: 2 of 3 passed
fail: say no
from test_run.queued to test_run.completed
cancelled
404 not_found
422 validation_failed /name
"""
#: What a generator calls a schema that has no name.
SAYS_NOTHING = re.compile(r"type_?\d|_item$|(One|Any|All)Of|Inner$|inline", re.IGNORECASE)
DOCUMENT = (ROOT / "docs" / "clients.md").read_text()


def or_skip(make: Callable[[str], T], language: str) -> T:
    try:
        return make(language)
    except ToolMissing as missing:
        pytest.skip(str(missing))


@each_language
def test_the_types_of_a_generated_client_are_right_and_so_is_their_use(language: str) -> None:
    or_skip(compiled, language)


@pytest.mark.usefixtures("worker")
def test_generated_clients_do_what_callers_do(
    subtests: pytest.Subtests, make_client: Callable[[], Client], gateway: Gateway, app: Application
) -> None:
    """One test for all languages, which share a gateway and a worker."""
    for language in GENERATORS:
        with subtests.test(language):
            program = or_skip(compiled, language)
            caller = {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": make_client().key, "ASSISTANT_URL": app.url}
            assert program.run(caller) == SAID


def operations_of(language: str, client: Path) -> set[str]:
    """As the document has them."""
    if language == "python":
        return {path.stem for path in client.glob("task_status_client/api/*/*.py")}
    if language == "typescript":
        (body,) = re.findall(
            r"^export interface operations \{\n(.*?)^\}", (client / "api.ts").read_text(), re.MULTILINE | re.DOTALL
        )
        return set(re.findall(r"^    (\w+): \{", body, re.MULTILINE))
    sources = (path.read_text() for path in client.glob("src/main/java/taskstatus/api/*.java"))
    return {name for source in sources for name in re.findall(r"^  public \S+ (\w+)\(", source, re.MULTILINE)}


@each_language
def test_every_operation_is_in_a_generated_client(language: str) -> None:
    made = operations_of(language, or_skip(generate, language))
    names = {operation["operationId"] for operation in contract().operations().values()}
    if language == "python":
        names = {re.sub(r"(?=[A-Z])", "_", name).lower() for name in names}
    assert names - made == set()


@each_language
def test_no_type_of_a_generated_client_has_a_name_that_says_nothing(language: str) -> None:
    client = or_skip(generate, language)
    if language == "typescript":
        names = set(re.findall(r"^export type (\w+)", (client / "api.ts").read_text(), re.MULTILINE))
        assert {"Problem", "TestRun", "Metric"} <= names
    else:
        names = {path.stem for path in client.glob("**/model*/*.*")}
        assert {"Problem", "problem"} & names
    assert [
        name for name in names if re.search(r"type_?\d|_item$|(One|Any|All)Of|Inner$|inline", name, re.IGNORECASE)
    ] == []


def test_the_client_for_python_bears_what_a_newer_gateway_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(or_skip(generate, "python"))
    models = importlib.import_module("task_status_client.models")
    (event,) = contract().document["components"]["schemas"]["Event"]["examples"]
    read = models.Event.from_dict(event | {"type": "task.paused", "until": "tomorrow"})
    assert read.type_ == "task.paused"
    assert read.type_ not in list(models.EventType)
    assert models.Event.from_dict(event).type_ is models.EventType.TASK_STARTED


@each_language
def test_what_the_document_shows_is_in_the_programs(language: str) -> None:
    shown = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    program = PROGRAMS[language].read_text()
    lines = {line.strip() for line in program.splitlines()}
    assert shown
    for block in shown:
        assert [line for line in block.splitlines() if line.strip() not in lines] == []
