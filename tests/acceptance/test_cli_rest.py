"""What callers type to see and do things over REST: tables on a terminal, JSON lines for programs, exit statuses."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client, new_client
from tests.stack.commands import Command, Ended, run_command
from tests.stack.services import Gateway
from tests.stack.terminal import run_on_terminal

pytestmark = pytest.mark.usefixtures("worker")


class Caller:
    """Somebody with a key."""

    def __init__(self, gateway: Gateway, client: Client) -> None:
        self.client = client
        self.environment = {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": client.key}

    def run(self, *arguments: str) -> Ended:
        return run_command(*arguments, environment=self.environment)

    def lines(self, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
        ended = self.run(*arguments)
        assert ended.status == status, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def on_terminal(self, *arguments: str) -> tuple[int, str]:
        return run_on_terminal(*arguments, environment=self.environment)


@pytest.fixture
def caller(gateway: Gateway, client: Client) -> Caller:
    return Caller(gateway, client)


def execute(caller: Caller, app: Application, *questions: str) -> str:
    metrics = [{"type": "equals", "value": "yes"}]
    endpoint = {"url": app.url, "request": {"input": "{{ input }}"}}
    configuration = caller.client.configure(
        endpoint=endpoint, tests=[{"input": question} for question in questions], metrics=metrics
    )
    return caller.client.execute(configuration)


def test_tasks_are_submitted_shown_listed_and_cancelled(caller: Caller) -> None:
    (done,) = caller.lines("tasks", "submit", "echo", "hello", "--wait")
    assert (done["status"], "hello" in done["result"]) == ("SUCCESS", True)
    (submitted,) = caller.lines("tasks", "submit", "tests.add", "1", "2")
    assert caller.client.ended(submitted["task_id"])["result"] == 3, "what is JSON is sent as that"
    (failed,) = caller.lines("tasks", "submit", "tests.fail", "--kwargs", '{"message": "no"}', "--wait", status=1)
    assert failed["status"] == "FAILURE"
    assert [task["task_id"] for task in caller.lines("tasks", "list", "--limit", "2")] == [
        failed["task_id"],
        submitted["task_id"],
    ]
    (only,) = caller.lines("tasks", "list", "--status", "FAILURE,REVOKED")
    assert only["task_id"] == failed["task_id"]
    (shown,) = caller.lines("tasks", "show", done["task_id"])
    assert shown == done
    (cancelled,) = caller.lines("tasks", "cancel", done["task_id"])
    assert cancelled == done, "it has ended already"
    status, screen = caller.on_terminal("tasks", "list")
    assert status == 0
    assert screen.splitlines()[0].startswith("task id")
    assert f"{done['task_id']}  echo" in screen
    wrong = caller.run("tasks", "submit", "echo", "--kwargs", "[]")
    assert (wrong.status, "is not an object" in wrong.stderr) == (2, True)
    missing = caller.run("tasks", "submit", "tests.fail")
    assert (missing.status, "/kwargs/message: This argument is missing." in missing.stderr) == (2, True)
    refused = caller.run("tasks", "submit", "os.system")
    assert (refused.status, "task_not_allowed" in refused.stderr, refused.stdout) == (2, True, "")


def test_a_task_is_submitted_for_later(caller: Caller) -> None:
    (submitted,) = caller.lines(
        "tasks", "submit", "echo", "x", "--countdown", "600", "--expires", "900", "--priority", "9"
    )
    (waiting,) = caller.lines("tasks", "list", "--status", "PENDING")
    assert waiting["task_id"] == submitted["task_id"]
    begins, ends = (datetime.fromisoformat(waiting[name]) for name in ("eta", "expires_at"))
    assert ends - begins == timedelta(seconds=300)
    (submitted,) = caller.lines("tasks", "submit", "echo", "x", "--eta", "2020-01-01T00:00Z", "--wait")
    assert (submitted["status"], submitted["eta"][:10]) == ("SUCCESS", "2020-01-01")
    for wrong in (["--countdown", "nan"], ["--countdown", "1", "--eta", "2020-01-01"], ["--priority", "10"]):
        refused = caller.run("tasks", "submit", "echo", "x", *wrong)
        assert (refused.status, refused.stdout) == (2, ""), refused.stderr


def test_runs_are_listed_shown_read_retried_and_cancelled(caller: Caller, app: Application) -> None:
    run_id = execute(caller, app, "say yes", "say no", "fail")
    run = caller.client.settled(run_id)
    (listed,) = caller.lines("runs", "list", "--status", "partial", "--configuration", run["test_configuration_id"])
    (shown,) = caller.lines("runs", "show", run_id)
    assert listed == shown
    assert {name: shown[name] for name in ("id", "status", "total", "settings")} == {
        name: run[name] for name in ("id", "status", "total", "settings")
    }
    results = caller.lines("runs", "results", run_id, "--status", "fail,error")
    assert [(result["input"], result["status"]) for result in results] == [("say no", "fail"), ("fail", "error")]
    assert len(caller.lines("runs", "results", run_id, "--limit", "1")) == 1
    (again,) = caller.lines("runs", "retry", run_id, "--statuses", "error")
    assert caller.client.settled(again["test_run_id"])["total"] == 1
    (cancelled,) = caller.lines("runs", "cancel", run_id)
    assert cancelled["status"] == "partial", "it has ended already"
    status, screen = caller.on_terminal("runs", "show", run_id)
    assert (status, "status                 partial" in screen) == (0, True), screen
    status, screen = caller.on_terminal("runs", "results", run_id)
    assert (status, "say no" in screen) == (0, True)
    unknown = caller.run("runs", "show", "nothing")
    assert (unknown.status, unknown.stderr) == (
        2,
        'gateway runs: the server refused this (not_found): There is no test run with the id "nothing".\n',
    )


def test_an_answer_cannot_move_the_cursor_of_a_terminal(caller: Caller, app: Application) -> None:
    run_id = execute(caller, app, "say \x1b]0;owned\x07\u202e")
    caller.client.settled(run_id)
    _, screen = caller.on_terminal("runs", "results", run_id)
    assert "\ufffd]0;owned\ufffd" in screen
    assert not {"\x1b]", "\x07", "\u202e"} & set(screen)


def test_what_is_watched_is_printed_event_by_event_until_all_has_ended(caller: Caller, app: Application) -> None:
    run_id, task_id = execute(caller, app, "wait", "say yes"), caller.client.submit("echo", "x")
    with Command("watch", run_id, task_id, environment=caller.environment) as command:
        assert app.is_waiting.wait(30)
        command.wait_for('"test_run.started"')
        app.gate.set()
        assert command.wait() == 0
    told = [json.loads(line) for line in command.lines(r"^\{")]
    for subject in (run_id, task_id):
        seqs = [event["seq"] for event in told if event["subject"] == subject]
        assert seqs == list(range(1, len(seqs) + 1))
    assert {event["type"] for event in told} >= {"test_run.completed", "test_result.finished", "task.succeeded"}


def test_a_gateway_that_is_killed_meanwhile_is_waited_for(caller: Caller, app: Application, gateway: Gateway) -> None:
    run_id = execute(caller, app, "wait", "say no", "fail")
    with Command("watch", run_id, environment=caller.environment) as command:
        command.wait_for('"test_run.started"')
        gateway.restart()
        app.gate.set()
        assert command.wait() == 1, "a partial run is not good"
    seqs = [json.loads(line)["seq"] for line in command.lines(r"^\{")]
    assert seqs == list(range(1, len(seqs) + 1))


def test_on_a_terminal_there_is_a_bar_for_each(caller: Caller, app: Application) -> None:
    run_id, task_id = execute(caller, app, "say yes", "say no"), caller.client.submit("count_slowly", 2, 0.01)
    status, screen = caller.on_terminal("watch", run_id, task_id)
    assert status == 0, screen
    last = screen[screen.rindex(f"{run_id} completed") :]
    assert "2/2" in last
    assert "1 passed 1 failed 0 errors" in last
    assert f"{task_id} SUCCESS" in last


def test_a_group_is_watched(caller: Caller, app: Application) -> None:
    run_id = execute(caller, app, "say yes")
    configuration = caller.client.settled(run_id)["test_configuration_id"]
    test_set = caller.client.get(f"/v1/test-configurations/{configuration}")["test_set_id"]
    body = {"test_configuration_ids": [configuration]}
    group = caller.client.post(f"/v1/test-sets/{test_set}/execute", body)["run_group_id"]
    told = caller.lines("watch", group)
    assert [event["type"] for event in told][-1] == "run_group.completed"
    status, screen = caller.on_terminal("watch", group)
    assert (status, f"{group} completed" in screen, "1/1" in screen) == (0, True, True)


def test_all_that_happens_is_watched_until_ctrl_c(caller: Caller) -> None:
    with Command("watch", "--types", "task.succeeded", environment=caller.environment) as command:
        command.wait_for('"type":"snapshot"')
        task_id = caller.client.submit("echo", "x")
        command.wait_for(f'"type":"task.succeeded","subject":"{task_id}"')
        assert command.end(signal.SIGINT) == 130
    assert command.lines("task.pending") == []


def test_what_happened_is_printed_and_gone_on_with(caller: Caller) -> None:
    caller.client.ended(caller.client.submit("echo", "x"))
    first = caller.run("events")
    assert [json.loads(line)["type"] for line in first.stdout.splitlines()] == [
        *("task.pending", "task.started", "task.succeeded"),
    ]
    cursor = first.stderr.split("--after ")[1].strip()
    task_id = caller.client.submit("echo", "y")
    caller.client.ended(task_id)
    (event,) = caller.lines("events", "--after", cursor, "--types", "task.succeeded,task.failed")
    assert event["subject"] == task_id
    status, screen = caller.on_terminal("events", "--status", "STARTED")
    assert (status, screen.count("task.started")) == (0, 2)
    wrong = caller.run("events", "--types", "nothing.*")
    assert (wrong.status, "nothing.*" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("environment", "status", "said"),
    [
        ({"GATEWAY_API_KEY": "tsg_wrong"}, 2, "key_invalid"),
        ({"GATEWAY_URL": "http://127.0.0.1:9"}, 3, "http://127.0.0.1:9 cannot be reached"),
        ({"GATEWAY_URL": ""}, 2, "give --server, or set GATEWAY_URL"),
        ({"GATEWAY_URL": "gateway"}, 2, "it looks like http://127.0.0.1:8080"),
    ],
)
@pytest.mark.parametrize("command", [("watch",), ("runs", "list")], ids=" ".join)
def test_what_cannot_be_done_is_a_sentence_and_an_exit_status(
    caller: Caller, command: tuple[str, ...], environment: dict[str, str], status: int, said: str
) -> None:
    ended = run_command(*command, environment=caller.environment | environment)
    assert (ended.status, ended.stdout, said in ended.stderr) == (status, "", True), ended.stderr
    assert caller.client.key not in ended.stderr


def test_a_suite_is_watched_by_asking_where_its_key_reads_no_streams(
    module_database: TestDatabase, gateway: Gateway, app: Application, tmp_path: Path
) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        f"endpoint: {{name: app, url: '{app.url}', request: {{input: '{{{{ input }}}}'}}}}\n"
        "test_set: {name: questions, tests: [{input: say yes}]}\nmetrics: [{type: equals, value: 'yes'}]\n"
    )
    with new_client(module_database, gateway.url, "without streams", ("runs:read", "runs:write")) as client:
        ended = Caller(gateway, client).run("run", str(suite), "--json")
    assert (ended.status, json.loads(ended.stdout)["passed"]) == (0, 1), ended.stderr


def test_a_subject_that_is_none_is_said(caller: Caller) -> None:
    ended = caller.run("watch", "nothing")
    assert (ended.status, ended.stderr) == (2, "gateway watch: there is no run, group or task nothing\n")
    mixed = caller.run("watch", "nothing", "--types", "task.*")
    assert (mixed.status, "leave them out, or SUBJECT" in mixed.stderr) == (2, True)


def test_where_there_is_nothing_a_terminal_says_so_and_a_program_gets_nothing(caller: Caller) -> None:
    assert caller.lines("runs", "list") == []
    status, screen = caller.on_terminal("runs", "list")
    assert (status, screen.strip()) == (0, "There is none.")
