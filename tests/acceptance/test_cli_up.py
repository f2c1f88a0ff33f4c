"""`gateway up`: everything with one command, and nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.postgres import TestDatabase
from tests.stack.commands import Command, descendants, echo, gateway_up, living, run_command
from tests.waiting import until


def test_it_brings_its_own_postgres_and_leaves_nothing_running(reachable_folder: Path) -> None:
    data = reachable_folder / "data"
    with gateway_up("--data-dir", data) as up:
        assert f"Organization: {up.organization_id}" in echo(up, "hello")
        second = run_command("up", "--port", "0", "--data-dir", data)
        assert (second.status, f"in use by process {up.command.pid}" in second.stderr) == (1, True)
        processes = descendants(up.command.pid)
        assert any("postgres" in command for command in processes.values())
        assert any("celery" in command for command in processes.values())
        assert up.command.end(signal.SIGTERM) == 0
        assert living(processes) == {}
        first = up
    with gateway_up("--data-dir", data) as up:
        assert up.organization_id == first.organization_id, "the data was kept"
        assert up.api_key != first.api_key
        with up.client() as client:
            assert client.get("/v1/tasks").json()["items"][0]["name"] == "echo"
            old_key = {"Authorization": f"Bearer {first.api_key}"}
            assert client.get("/v1/tasks", headers=old_key).status_code == 401, "a key ends with its gateway"
        assert up.command.end(signal.SIGINT) == 0
    assert (data / "secret-keys").stat().st_mode & 0o077 == 0


def test_nothing_is_left_of_one_that_was_killed_and_another_one_takes_over(reachable_folder: Path) -> None:
    data = reachable_folder / "data"
    with gateway_up("--data-dir", data) as killed:
        processes = descendants(killed.command.pid)
        assert len(processes) > 5
        os.kill(killed.command.pid, signal.SIGKILL)
        with gateway_up("--data-dir", data) as up:
            assert living(processes) == {}
            assert up.organization_id == killed.organization_id
            assert echo(up, "back again")


def test_what_is_killed_is_started_again(database: TestDatabase) -> None:
    with gateway_up("--database-url", database.admin_url) as up:
        assert echo(up, "before")
        processes = descendants(up.command.pid)
        pool = {pid for pid, command in processes.items() if "celery" in command}
        os.kill(next(pid for pid in pool if os.getpgid(pid) == pid), signal.SIGKILL)
        up.command.wait_for(r"The worker 1 ended unasked \(SIGKILL\); it is started again")
        assert echo(up, "without the old worker")
        assert not pool & descendants(up.command.pid).keys(), "its children went with it"
        (server,) = (pid for pid, command in processes.items() if " serve " in command)
        os.kill(server, signal.SIGKILL)
        up.command.wait_for(r"The gateway ended unasked \(SIGKILL\); it is started again")
        assert echo(up, "on the same port")


@pytest.mark.long
def test_two_of_them_share_a_database_but_no_port(database: TestDatabase) -> None:
    options = ("--database-url", database.admin_url)
    with gateway_up(*options) as first, gateway_up(*options, "--organization", "other") as second:
        assert first.organization_id != second.organization_id
        for up in (first, second):
            assert f"Organization: {up.organization_id}" in echo(up, "hello")
        third = run_command("up", *options, "--port", first.url.rpartition(":")[2])
        assert (third.status, "Address already in use" in third.stderr) == (1, True)


def test_a_worker_that_does_not_stay_ends_everything_with_a_sentence(database: TestDatabase) -> None:
    broken = {"CELERY_CONFIG_MODULE": "no.such"}
    with Command("up", "--port", "0", "--database-url", database.admin_url, environment=broken) as command:
        assert command.wait() == 1
        command.wait_for(r"^gateway up: The worker 1 ended unasked \(exit status 1\), 3 times soon after its start\.$")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--database-url", "mysql://localhost/x"), "is not a Postgres URL"),
        (("--database-url", "postgresql://nobody@127.0.0.1:9/x"), "cannot be upgraded: connection failed"),
        (("--host", "192.0.2.1"), "Cannot listen on 192.0.2.1"),
        (("--port", "70000"), "port"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    ended = run_command("up", *arguments)
    assert ended.status in {1, 2}
    assert said in ended.stderr
    assert ended.stdout == ""


def test_an_interrupted_start_leaves_nothing(reachable_folder: Path) -> None:
    with Command("up", "--json", "--port", "0", "--data-dir", reachable_folder / "data") as command:
        cluster = reachable_folder / "data" / "cluster" / "postmaster.pid"
        until(cluster.exists, 30)
        processes = descendants(command.pid)
        assert command.end(signal.SIGINT) == 0
        assert living(processes) == {}
