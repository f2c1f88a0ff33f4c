"""The files of deploy/ name settings, commands, paths and ports that there are, and stop nothing too early."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.settings import load_gateway_settings
from gateway.stream.settings import StreamSettings
from gateway.transport.limits import ConnectionLimits
from tests.deployment import (
    DEPLOY,
    GATEWAY_STOPS_WITHIN,
    started_by,
    understands,
    unit,
    variables,
    worker_stops_within,
)
from tests.stack.process import ROOT
from workerapp.settings import load_worker_settings

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SCRIPTS = (".ci/run", "deploy/start-worker.sh", "gateway/reference/update.sh")
EXAMPLE = DEPLOY / ".env.example"
#: Options of a unit that say what it is; all others harden it.
OWN_OPTIONS = {
    "Type", "User", "Environment", "EnvironmentFile", "ExecStart", "Restart", "RestartSec", "KillMode",
    "TimeoutStopSec", "LimitNOFILE", "MemoryMax", "WatchdogSec",
}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each on one line."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_a_variable_that_a_file_names_is_a_setting(path: Path) -> None:
    named = re.findall(r"\b(?:GATEWAY|CELERY|DATABASE|BROKER)_[A-Z_]*[A-Z]\b", path.read_text())
    assert set(named) <= variables()


def test_the_example_environment_has_every_setting_once() -> None:
    named = re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(variables())


def test_the_example_environment_shows_the_defaults(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    needed = {"database_url": "postgresql://gateway_app@localhost/gateway", "_env_file": shown}
    bare = needed | {"_env_file": None}
    assert load_gateway_settings(**needed) == load_gateway_settings(**bare)
    assert load_worker_settings(**needed) == load_worker_settings(**bare)


def test_the_example_environment_sets_no_password() -> None:
    assert re.findall(r"^[A-Z_]+=.+", EXAMPLE.read_text(), re.MULTILINE) == []


def test_the_image_runs_as_nobody_special_and_its_command_is_one_without_a_shell() -> None:
    last = dict(instructions())
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"]), "by number, for Kubernetes to see that it is not root"
    assert understands(json.loads(last["CMD"]))
    assert last["HEALTHCHECK"].partition(" CMD ")[2].startswith("[")
    assert f":{last['EXPOSE']}/healthz" in last["HEALTHCHECK"]


def test_the_image_holds_no_secret_and_its_base_is_of_one_minor_version() -> None:
    names = [value.split("=")[0] for word, value in instructions() if word in {"ARG", "ENV"}]
    assert not [name for name in names if re.search(r"PASSWORD|SECRET|TOKEN|URL|KEY", name)]
    bases = {value.split()[0] for word, value in instructions() if word == "FROM"}
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)


def test_what_the_image_copies_is_there_and_sent_to_its_builder() -> None:
    sent = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        source
        for word, value in instructions()
        if word == "COPY"
        for source in value.split()[:-1]
        if not source.startswith("--")
    }
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)


def test_the_dockerfile_is_one_that_hadolint_takes() -> None:
    beside = Path(sys.executable).parent / "hadolint"  # it comes with the development extras
    if not beside.exists():
        pytest.skip("hadolint is not installed here")
    done = subprocess.run([beside, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_gateway_waits_for_longer_than_nginx_keeps_a_connection() -> None:
    (kept,) = re.findall(r"keepalive_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())
    assert float(kept) < StreamSettings().drain_timeout
    assert float(kept) < ConnectionLimits().keep_alive_seconds


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_one_that_its_shell_and_shellcheck_take(script: str) -> None:
    beside = str(Path(sys.executable).parent / "shellcheck")  # it comes with the development extras
    for command in (["bash", "-n"], [beside]):
        done = subprocess.run([*command, script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_worker_is_started_with_the_settings_and_what_else_is_asked_for(tmp_path: Path) -> None:
    stand_in = tmp_path / "celery"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CELERY_WORKER_CONCURRENCY": "3", "CELERY_WORKER_OPTS": "-Q a"}
    command = [DEPLOY / "start-worker.sh", "--hostname=one@%h"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:3] == ["-A", "workerapp", "worker"]
    assert "--concurrency=3" in said
    assert said[-3:] == ["-Q", "a", "--hostname=one@%h"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_there_is_as_an_account_of_its_own(path: Path) -> None:
    service = unit(path)["Service"]
    assert understands(started_by(unit(path)))
    assert service["User"] == "gateway"
    assert service["EnvironmentFile"].endswith("/owner.env" if "migrate" in path.name else "/settings.env")


def test_units_wait_until_gateways_and_workers_have_stopped() -> None:
    stop = {path.name: float(unit(path)["Service"].get("TimeoutStopSec", "0")) for path in UNITS}
    assert stop["gateway@.service"] > GATEWAY_STOPS_WITHIN
    assert stop["gateway-worker@.service"] > worker_stops_within()


def test_all_units_are_hardened_alike() -> None:
    first, *others = (
        {name: value for name, value in unit(path)["Service"].items() if name not in OWN_OPTIONS} for path in UNITS
    )
    assert first["ProtectSystem"] == "strict"
    assert first["NoNewPrivileges"] == "yes"
    assert all(other == first for other in others)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    for path in UNITS:
        # What it starts is not installed here, and it would say so.
        text = re.sub(r"/opt/\S+/bin/\S+(?= )", "/bin/true", path.read_text())
        (tmp_path / path.name.replace("@.", "@8080.")).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
