"""What was written for the last release works with this version; and what would break a client is noticed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.compatibility import released
from tests.compatibility.documents import breaks
from tests.contract import contract

TASKS = ("paths", "/v1/tasks")
SUBMISSION = ("components", "schemas", "TaskSubmission")
TASK = ("components", "schemas", "Task")
NEW_FIELD = {"type": "string"}


def at(document: dict[str, Any], *path: str | int) -> Any:
    found: Any = document
    for part in path:
        found = found[part]
    return found


@pytest.fixture
def changed() -> dict[str, Any]:
    """The document, to be changed."""
    return copy.deepcopy(contract().document)


def test_clients_of_the_last_release_work_with_this_version() -> None:
    versions = released.released_versions()
    if not versions:
        pytest.skip("no version was released yet")
    assert breaks(released.kept_document(versions[0]), contract().document) == []


def test_the_document_of_every_released_version_is_kept() -> None:
    kept = {path.stem for path in released.FOLDER.glob("*.yaml")}
    assert kept == set(released.released_versions())


def test_a_document_breaks_nothing_for_its_own_clients(changed: dict[str, Any]) -> None:
    assert breaks(contract().document, changed) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((*SUBMISSION, "properties", "note"), NEW_FIELD),
        ((*TASK, "properties", "note"), NEW_FIELD),
        ((*TASK, "required"), [*contract().document["components"]["schemas"]["Task"]["required"], "note"]),
        ((*SUBMISSION, "properties", "name", "maxLength"), 500),
        ((*TASK, "properties", "retries", "minimum"), 1),
        ((*TASKS, "get", "responses", "418"), {"description": "A refusal more."}),
        (("paths", "/v1/notes"), contract().document["paths"]["/v1/tasks"]),
        (("components", "schemas", "Event", "properties", "type", "enum"), ["task.eaten"]),
    ],
)
def test_what_is_added_breaks_nothing(changed: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    holder = at(changed, *place[:-1])
    holder[place[-1]] = [*holder[place[-1]], *value] if place[-1] == "enum" else value
    assert breaks(contract().document, changed) == []


def remove(*place: str) -> Any:
    return lambda document: at(document, *place[:-1]).pop(place[-1])


def put(*place: Any) -> Any:
    *where, name, value = place
    return lambda document: at(document, *where).__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("paths", "/v1/tasks"), "POST /v1/tasks: it is gone"),
        (remove("paths", "/v1/tasks", "get"), "GET /v1/tasks: it is gone"),
        (put(*TASKS, "get", "operationId", "tasks"), "GET /v1/tasks: it is called tasks and was listTasks"),
        (put(*TASKS, "get", "parameters", []), "GET /v1/tasks: the parameter limit is gone"),
        (put("components", "parameters", "Limit", "required", 1), "GET /v1/tasks: the parameter limit is required"),
        (put("components", "parameters", "Limit", "schema", "maximum", 10), "maximum is not accepted any more"),
        (put(*TASKS, "get", "requestBody", {"required": True}), "GET /v1/tasks: a body is required"),
        (
            put(*TASKS, "post", "requestBody", "content", {}),
            "POST /v1/tasks: a body of application/json is not accepted any more",
        ),
        (put(*TASKS, "get", "security", [{"identityProvider": []}]), "GET /v1/tasks: apiKey opens it no more"),
        (put(*SUBMISSION, "required", ["name", "args"]), "the body/args: it is required now"),
        (remove(*SUBMISSION, "properties", "kwargs"), "the body/kwargs: it is not accepted any more"),
        (put(*SUBMISSION, "properties", "name", "maxLength", 10), "the body/name: maxLength is not accepted any more"),
        (put(*SUBMISSION, "properties", "name", "pattern", "^a"), "the body/name: pattern is another one"),
        (put(*SUBMISSION, "properties", "queue", "type", "string"), "the body/queue: the type null is not accepted"),
        (remove(*TASK, "properties", "retries"), "/retries: it is not answered any more"),
        (put(*TASK, "required", ["task_id"]), "/name: it may be missing now"),
        (put(*TASK, "properties", "retries", {"type": "string"}), "/retries: the type string was not answered before"),
        (put(*TASK, "properties", "task_id", {"type": ["string", "null"]}), "/task_id: the type null was not answered"),
        (put("components", "schemas", "RunStatus", "enum", ["done"]), "the values ['done'] was not answered before"),
        (put(*TASKS, "get", "responses", "204", {"description": ""}), "204 is a success that was not answered before"),
        (remove("components", "responses", "ApiKeyMade", "headers", "Location"), "201: the header Location is gone"),
        (
            put(*TASKS, "get", "responses", "200", "content", {}),
            "GET /v1/tasks 200: it is not answered as application/json any more",
        ),
        (
            lambda document: at(document, "components", "schemas", "ResponseMapping")["oneOf"].pop(),
            "alternative 1 of oneOf is not accepted any more",
        ),
    ],
)
def test_what_would_break_a_client_is_noticed(changed: dict[str, Any], change: Any, said: str) -> None:
    change(changed)
    found = breaks(contract().document, changed)
    assert any(said in sentence for sentence in found), found


@pytest.mark.parametrize(("sunset", "said"), [("2026-01-01", []), ("2999-01-01", ["GET /v1/tasks: it is gone"])])
def test_what_was_deprecated_may_be_gone_after_its_sunset(
    changed: dict[str, Any], sunset: str, said: list[str]
) -> None:
    old = copy.deepcopy(changed)
    old["paths"]["/v1/tasks"]["get"] |= {"deprecated": True, "x-sunset": sunset}
    del changed["paths"]["/v1/tasks"]["get"]
    assert breaks(old, changed) == said


def test_the_document_of_a_release_is_kept_under_its_version(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(released, "FOLDER", tmp_path)
    assert released.keep().name == f"{contract().document['info']['version']}.yaml"
    assert released.kept_document(contract().document["info"]["version"]) == contract().document
