"""`gateway run`: a suite through a real gateway and worker, and its outcome as an exit status."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer, copied_database
from tests.stack.application import Application, application
from tests.stack.commands import Command, Ended, Up, descendants, gateway_up, run_command
from tests.waiting import until


@pytest.fixture(scope="module")
def up(postgres: PostgresServer, template_database: str) -> Iterator[Up]:
    with (
        copied_database(postgres, template_database) as database,
        gateway_up("--database-url", database.admin_url) as running,
    ):
        yield running


@dataclass(frozen=True)
class Bench:
    """A gateway, an application under test, and a folder for suites."""

    up: Up
    app: Application
    folder: Path

    def suite(self, *questions: str, name: str = "suite", extra: str = "") -> Path:
        """A suite of questions which all expect `yes`."""
        tests = "".join(json.dumps({"q": question}, ensure_ascii=False) + "\n" for question in questions)
        (self.folder / f"{name}.jsonl").write_text(tests)
        path = self.folder / f"{name}.yaml"
        path.write_text(
            f"endpoint: {{name: {name}, url: '{self.app.url}', request: {{input: '{{{{ input }}}}'}}}}\n"
            f"test_set: {{name: {name}, file: {name}.jsonl, fields: {{input: q}}}}\n"
            f"metrics: [{{type: equals, value: 'yes'}}]\n{extra}"
        )
        return path

    def run(self, *arguments: str | Path) -> Ended:
        return run_command("run", *arguments, environment=self.up.environment)

    def count(self, resource: str) -> int:
        with self.up.client() as client:
            return len(client.get(f"/v1/{resource}", params={"limit": 500}).json()["items"])

    def last_run(self) -> dict[str, Any]:
        with self.up.client() as client:
            run: dict[str, Any] = client.get("/v1/test-runs", params={"limit": 1}).json()["items"][0]
            return run


@pytest.fixture
def bench(up: Up, tmp_path: Path) -> Iterator[Bench]:
    with application() as app:
        yield Bench(up, app, tmp_path)


def test_a_good_run_prints_one_object_and_exits_with_0(bench: Bench) -> None:
    ended = bench.run(bench.suite("say yes", "say no", "say yes", "say yes"), "--json", "--min-pass-rate", "0.75")
    assert ended.status == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    outcome = json.loads(line)
    assert outcome.pop("test_run_id") == bench.last_run()["id"]
    assert outcome == {
        "status": "completed",
        "total": 4,
        "passed": 3,
        "failed": 1,
        "errored": 0,
        "cancelled": 0,
        "unscored": 0,
        "pass_rate": 0.75,
    }
    assert "equals:" in ended.stderr, "the wrong answer is shown, with the reason"


@pytest.mark.parametrize(
    ("questions", "rate", "status", "exit_status"),
    [
        (("say no", "say no"), "0", "completed", 0),
        (("say yes", "say no"), "0.51", "completed", 1),
        (("say yes", "fail"), "0", "partial", 1),
        (("fail", "fail"), "0", "failed", 1),
    ],
)
def test_the_exit_status_is_the_outcome(
    bench: Bench, questions: tuple[str, ...], rate: str, status: str, exit_status: int
) -> None:
    ended = bench.run(bench.suite(*questions), "--min-pass-rate", rate)
    assert (ended.status, bench.last_run()["status"]) == (exit_status, status), ended.stderr
    assert f"{status}: 2 tests" in ended.stdout


def test_a_wrong_turn_is_shown_with_all_that_was_asked(bench: Bench) -> None:
    suite = bench.suite("say yes")
    turns = [{"input": "say no", "assertions": [{"type": "contains", "value": "x"}]}, {"input": "say yes"}]
    (bench.folder / "suite.jsonl").write_text(json.dumps({"turns": turns}) + "\n")
    suite.write_text(suite.read_text().replace("{input: q}", "{}"))
    shown = "".join(bench.run(suite).stdout.split())
    assert '["sayno","sayyes"]' in shown
    assert "turn1:contains" in shown


def test_a_run_has_the_options_of_its_command(bench: Bench) -> None:
    suite = bench.suite("say yes", "say no", "say yes", name="options")
    ended = bench.run(suite, "--repeats", "2", "--first", "2")
    assert (ended.status, bench.last_run()["total"]) == (0, 4), ended.stderr
    assert "4 tests" in ended.stdout
    assert "2 (repeat 2)" in ended.stdout
    assert "flaky: 0 of 2 tests (1 always passed, 1 always failed)" in ended.stdout


def test_a_run_that_ends_early_is_not_good(bench: Bench) -> None:
    suite = bench.suite("say no", *["say yes"] * 3, name="early", extra="run: {mode: sequential, max_failures: 1}\n")
    ended = bench.run(suite)
    assert ended.status == 1
    assert "completed: 4 tests, 0 passed, 1 failed, 0 errors, 3 cancelled" in ended.stdout
    assert "ended early" in ended.stdout
    assert bench.app.asked["say yes"] == 0


def test_a_suite_that_runs_again_is_not_stored_again(bench: Bench) -> None:
    suite = bench.suite("say yes", name="again")
    before = [bench.count(resource) for resource in ("endpoints", "test-sets", "test-configurations", "test-runs")]
    assert [bench.run(suite).status for _ in range(2)] == [0, 0]
    after = [bench.count(resource) for resource in ("endpoints", "test-sets", "test-configurations", "test-runs")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1, 2]


def test_a_suite_whose_endpoint_was_archived_is_stored_anew(bench: Bench) -> None:
    suite = bench.suite("say yes", name="archived")
    assert bench.run(suite).status == 0
    with bench.up.client() as client:
        newest = client.get("/v1/endpoints", params={"limit": 1}).json()["items"][0]
        assert client.delete(newest["links"]["self"]).status_code == 204
    ended = bench.run(suite)
    assert ended.status == 0, ended.stderr


def test_a_gateway_that_dies_meanwhile_is_waited_for(bench: Bench) -> None:
    suite = bench.suite("say yes", "wait", "say yes", "fail")
    with Command("run", str(suite), "--json", environment=bench.up.environment) as command:
        assert bench.app.is_waiting.wait(30)
        command.wait_for("running: ")
        (server,) = (pid for pid, line in descendants(bench.up.command.pid).items() if " serve " in line)
        os.kill(server, signal.SIGKILL)
        bench.up.command.wait_for("The gateway ended unasked")
        bench.app.gate.set()
        outcome = json.loads(command.wait_for(r'^\{"test_run_id".*\}$', 60)[0])
        assert command.wait() == 1
    counts = {name: outcome[name] for name in ("status", "total", "passed", "failed", "errored")}
    assert counts == {"status": "partial", "total": 4, "passed": 2, "failed": 1, "errored": 1}
    assert bench.app.asked["wait"] == 1


def test_ctrl_c_leaves_the_run_going_on(bench: Bench) -> None:
    suite = bench.suite("say yes", "wait")
    with Command("run", str(suite), environment=bench.up.environment) as command:
        assert bench.app.is_waiting.wait(30)
        command.wait_for("running: ")
        assert command.end(signal.SIGINT) == 130
        command.wait_for("Stopped watching; the run goes on.")
    run = bench.last_run()
    assert command.lines(f"curl .*{run['links']['self']}")
    bench.app.gate.set()
    until(lambda: bench.last_run()["status"] == "completed", 30)


def test_ctrl_c_before_there_is_a_run_ends_it_too(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = bench.up.environment | {"GATEWAY_URL": url}
        with Command("run", str(bench.suite("say yes")), environment=environment) as command:
            asking, _ = silent.accept()
            with asking:
                assert command.end(signal.SIGINT) == 130
            assert command.lines("") == []


def test_an_answer_cannot_reach_the_terminal(bench: Bench) -> None:
    ended = bench.run(bench.suite("say \x1b]0;owned\x07[bold red]\u202e"))
    assert "\ufffd]0;owned\ufffd[bold red]\ufffd" in "".join(ended.stdout.split("  "))
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\u202e" not in ended.stdout + ended.stderr


def test_only_so_many_problems_are_shown(bench: Bench) -> None:
    ended = bench.run(bench.suite(*["say no"] * 7, "fail"), "--show", "3")
    assert "… and 5 more: " in ended.stdout
    assert ended.stdout.count("say no") == 2, "the error comes first"


def test_what_cannot_be_run_is_said_with_its_exit_status(bench: Bench) -> None:
    suite = bench.suite("say yes")
    wrong_key = run_command("run", suite, "--server", bench.up.url, "--api-key", "tsg_wrong")
    assert (wrong_key.status, "key_invalid" in wrong_key.stderr) == (2, True)
    no_server = run_command("run", suite, "--server", "http://127.0.0.1:9", "--api-key", "tsg_x")
    assert (no_server.status, "http://127.0.0.1:9 cannot be reached" in no_server.stderr) == (3, True)
    other_server = run_command("run", suite, "--server", bench.app.url, "--api-key", "tsg_x")
    assert (other_server.status, "is" in other_server.stderr) == (3, True)
    no_settings = run_command("run", suite)
    assert (no_settings.status, "give --server, or set GATEWAY_URL" in no_settings.stderr) == (2, True)
    no_suite = bench.run(bench.folder / "absent.yaml")
    assert (no_suite.status, "absent.yaml cannot be read: No such file" in no_suite.stderr) == (2, True)
    bad_rate = bench.run(suite, "--min-pass-rate", "95")
    assert (bad_rate.status, "write 0.95 for 95 %" in bad_rate.stderr) == (2, True)
    assert {ended.stdout for ended in (wrong_key, no_server, other_server, no_suite, bad_rate)} == {""}


def test_what_the_server_refuses_is_said(bench: Bench) -> None:
    path = bench.suite("say yes")
    path.write_text(path.read_text().replace("127.0.0.1", "10.0.0.1"))
    ended = bench.run(path)
    assert (ended.status, "10.0.0.1 is a private address" in ended.stderr) == (2, True), ended.stderr
