"""Tasks of one's own, as docs/own-tasks.md tells: the example is installed, and called over REST with a real worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.postgres import TestDatabase
from tests.stack.client import Client
from tests.stack.process import ROOT
from tests.stack.services import Gateway, Worker
from tests.waiting import until

EXAMPLE = ROOT / "docs" / "examples" / "own_tasks"
#: A queue that the worker does not consume.
LATER = "later"
NAMES = ("stock.count", "stock.order")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as pip installs it, with its entry point."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", folder, EXAMPLE], check=True)
    return folder


@pytest.fixture(scope="module")
def worker(module_database: TestDatabase, installed: Path) -> Iterator[Worker]:
    with Worker(module_database, environment={"PYTHONPATH": f"{ROOT}{os.pathsep}{installed}"}) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    """It has nothing of the example but a pattern of its tasks' names."""
    environment = {
        "GATEWAY_TASK_ALLOW": "stock.*",
        "GATEWAY_TASK_QUEUES": LATER,
        "GATEWAY_TASK_TYPE_CACHE_SECONDS": "0",
    }
    with Gateway(module_database, environment=environment) as running:
        yield running


def listed(client: Client) -> dict[str, dict]:
    return {each["name"]: each for each in client.get("/v1/task-types")["items"]}


def test_a_task_is_listed_refused_with_wrong_arguments_and_run_after_its_countdown(client: Client, worker: Worker):
    told = until(lambda: listed(client))
    assert told.keys() == {*NAMES}
    assert told["stock.count"]["description"] == "Count articles, and tell how far it is."
    properties = told["stock.count"]["arguments"]["properties"]
    assert properties["kwargs"]["properties"]["articles"] == {"type": "array", "items": {"type": "string"}}

    wrong = {"name": "stock.count", "args": [["nut", 7]], "kwargs": {"labels": "x"}}
    refused = client.http.post("/v1/tasks", json=wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "arguments_invalid")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/args/0/1", "/kwargs/labels"]
    assert client.get("/v1/tasks")["items"] == []

    right = {"name": "stock.count", "args": [["nut", "bolt"]], "kwargs": {"label": "shelf"}, "countdown": 1}
    task = client.ended(client.post("/v1/tasks", right)["task_id"])
    assert (task["status"], task["result"]) == ("SUCCESS", f"shelf of {client.organization_id}: 2")
    assert task["progress"]["message"] == "counted bolt"
    eta, created, started = (datetime.fromisoformat(task[name]) for name in ("eta", "created_at", "started_at"))
    # One was set by the gateway's clock, the other by the database's, when the transaction had begun.
    assert timedelta(seconds=0.5) < eta - created < timedelta(seconds=15)
    assert started >= eta


def test_a_task_with_pydantic_gets_the_model_that_it_is_declared_with(client: Client, worker: Worker):
    until(lambda: "stock.order" in listed(client))
    refused = client.http.post("/v1/tasks", json={"name": "stock.order", "kwargs": {"item": {"pieces": -1}}})
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/kwargs/item/article", "/kwargs/item/pieces"]
    sent = {"item": {"article": "nut", "pieces": 3}, "day": "2026-01-05"}
    task = client.ended(client.post("/v1/tasks", {"name": "stock.order", "kwargs": sent})["task_id"])
    assert (task["status"], task["result"]) == ("SUCCESS", {"article": "nut", "pieces": 4})


def test_a_task_that_expires_before_it_begins_does_not_run(
    module_database: TestDatabase, client: Client, worker: Worker
):
    late = client.post("/v1/tasks", {"name": "stock.count", "args": [["nut"]], "expires": 0.1, "queue": LATER})
    expires_at = datetime.fromisoformat(client.task(late["task_id"])["expires_at"])
    until(lambda: datetime.now(UTC) > expires_at)
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE}", "GATEWAY_DEFAULT_QUEUE": LATER}
    with Worker(module_database, environment=environment | {"GATEWAY_TASK_MODULES": "stock.tasks"}):
        task = client.ended(late["task_id"])
    assert (task["status"], task["error_type"]) == ("REVOKED", "TaskRevokedError")


def test_a_setting_names_modules_too(module_database: TestDatabase, client: Client):
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE}", "GATEWAY_TASK_MODULES": "stock.tasks"}
    with Worker(module_database, environment=environment):
        until(lambda: listed(client).keys() == {*NAMES})
        task = client.ended(client.submit("stock.count", ["nut"]))
    assert task["status"] == "SUCCESS"


def test_a_worker_whose_module_cannot_be_imported_ends_with_a_sentence(module_database: TestDatabase):
    with Worker(module_database, ready=False, environment={"GATEWAY_TASK_MODULES": "stock.missing"}) as worker:
        said = worker.wait_for("cannot be imported for its tasks")[0]
        line = worker.lines(re.escape(said))[0]
        assert line.startswith("The module 'stock.missing' cannot be imported for its tasks: No module named 'stock'.")
        assert "GATEWAY_TASK_MODULES" in line


def test_the_page_tells_of_the_example_as_it_is():
    page = (ROOT / "docs" / "own-tasks.md").read_text()
    source = (EXAMPLE / "stock" / "tasks.py").read_text()
    project = (EXAMPLE / "pyproject.toml").read_text()
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown
    for block in shown:
        assert block in source
    for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        assert block in project
