"""The programs of docs/webhooks.md, as they are printed there: they accept what the gateway signs, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest

from tests.stack.commands import Command
from tests.stack.node_packages import compile_typescript, install_packages
from tests.stack.process import ROOT, Process
from workerapp.contract.webhook_signing import TOLERANCE, new_secret, sign

DOCUMENT = (ROOT / "docs" / "webhooks.md").read_text()
SECRET, OTHER_SECRET = new_secret(), new_secret()
TOO_LONG = TOLERANCE.total_seconds() + 60
PAYLOAD = {
    "type": "test_run.completed",
    "timestamp": "2026-11-26T12:00:00.000000Z",
    "data": {"seq": 7, "name": "für 日本"},
}
BODY = json.dumps(PAYLOAD, ensure_ascii=False).encode()
CHANGED = BODY.replace(b"completed", b"cancelled")


def programs(language: str) -> list[str]:
    """The whole programs in the document, in their order."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return [block for block in blocks if "WEBHOOK_SECRET" in block and block.count("\n") > 5]


#: What runs, and what is put in the place of the document's own lines.
PLAIN, PACKAGE, SVIX = 0, 1, 2
SVIX_LINES = {
    "python": ("from standardwebhooks import Webhook", "from svix.webhooks import Webhook"),
    "typescript": ('import { Webhook } from "standardwebhooks";', 'import { Webhook } from "svix";'),
}


def variants(language: str) -> list[str]:
    """With nothing, with `standardwebhooks`, and with `svix`, as the document says that one is used."""
    plain, package = programs(language)
    before, after = SVIX_LINES[language]
    assert before in package
    assert f"`{after}`" in DOCUMENT
    return [plain, package, package.replace(before, after)]


def program_for(language: str) -> str:
    return sys.executable if language == "python" else shutil.which("node") or "node"


@dataclass(frozen=True)
class Receiver:
    """One of them, running."""

    process: Process
    url: str

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        with httpx.Client(trust_env=False, timeout=20) as client:
            return client.post(self.url, content=body, headers=dict(headers)).status_code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("receivers")


@pytest.fixture(scope="module")
def python_files(folder: Path) -> list[Path]:
    paths = [folder / f"receiver_{number}.py" for number in (PLAIN, PACKAGE, SVIX)]
    for path, text in zip(paths, variants("python"), strict=True):
        path.write_text(text)
    return paths


@pytest.fixture(scope="module")
def typescript_files(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    packages = install_packages(tmp_path_factory.getbasetemp().parent / "webhook_clients")
    # Beside the packages, where both the compiler and node look for them; each process of the test run has its own.
    place = packages / f"receivers-{os.getpid()}"
    place.mkdir(exist_ok=True)
    paths = [place / f"receiver{number}.ts" for number in (PLAIN, PACKAGE, SVIX)]
    for path, text in zip(paths, variants("typescript"), strict=True):
        path.write_text(text)
    compile_typescript(packages, place / "out", *paths)
    return [place / "out" / f"{path.stem}.js" for path in paths]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Callable[[str, int], Receiver]]:
    """Starts one of them when it is asked for first: the tests come in any order."""
    with ExitStack() as exits:

        @cache
        def start(language: str, number: int) -> Receiver:
            environment = {"WEBHOOK_SECRET": SECRET, "PORT": "0"}
            path = request.getfixturevalue(f"{language}_files")[number]
            process = exits.enter_context(Process(path.name, [str(path)], environment, program_for(language)))
            return Receiver(process, process.wait_for(r"^Listening on (http://\S+)$")[1])

        yield start


@pytest.fixture(
    params=[(language, number) for language in ("python", "typescript") for number in (PLAIN, PACKAGE, SVIX)],
    ids=lambda chosen: f"{chosen[0]}-{('plain', 'standardwebhooks', 'svix')[chosen[1]]}",
)
def receiver(request: pytest.FixtureRequest, running: Callable[[str, int], Receiver]) -> Receiver:
    return running(*request.param)


def signed(*secrets: str, body: bytes = BODY, age: float = 0, name: str = "0199-7") -> dict[str, str]:
    sent = int(time.time() - age)
    signature = sign(secrets or (SECRET,), name, sent, body)
    return {"webhook-id": name, "webhook-timestamp": str(sent), "webhook-signature": signature}


def test_a_signed_delivery_is_accepted(receiver: Receiver) -> None:
    assert receiver.post(BODY, signed()) == 204
    assert receiver.process.wait_for(r"^0199-7 test_run.completed 7$")


@pytest.mark.parametrize("secrets", [(SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)], ids=["newest", "previous"])
def test_while_secrets_rotate_either_is_accepted(receiver: Receiver, secrets: tuple[str, str]) -> None:
    assert receiver.post(BODY, signed(*secrets)) == 204


FORGERIES: dict[str, Callable[[], tuple[bytes, dict[str, str]]]] = {
    "changed body": lambda: (CHANGED, signed()),
    "changed id": lambda: (BODY, signed() | {"webhook-id": "0199-8"}),
    "changed time": lambda: (BODY, signed(age=5) | {"webhook-timestamp": str(int(time.time()))}),
    "old": lambda: (BODY, signed(age=TOO_LONG)),
    "of the future": lambda: (BODY, signed(age=-TOO_LONG)),
    "other secret": lambda: (BODY, signed(OTHER_SECRET)),
    "two other secrets": lambda: (BODY, signed(OTHER_SECRET, new_secret())),
    "other version": lambda: (
        BODY,
        signed() | {"webhook-signature": signed()["webhook-signature"].replace("v1", "v2")},
    ),
    "empty signature": lambda: (BODY, signed() | {"webhook-signature": "v1,"}),
    "no comma": lambda: (BODY, signed() | {"webhook-signature": "v1"}),
    "time in words": lambda: (BODY, signed() | {"webhook-timestamp": "now"}),
    "time without end": lambda: (BODY, signed() | {"webhook-timestamp": "9" * 5000}),
    "no headers": lambda: (BODY, {}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_not_signed_so_is_refused(receiver: Receiver, forgery: str) -> None:
    assert receiver.post(*FORGERIES[forgery]()) == 400
    assert receiver.post(BODY, signed()) == 204, "and the next one is accepted"


# ------------------------------------------------------------------------------------------------ the shell
@pytest.fixture(scope="module")
def scripts(folder: Path) -> Path:
    missing = [name for name in ("openssl", "curl", "base64", "od") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} are not installed")
    named = {match[1]: text for text in programs("sh") if (match := re.match(r"#!/bin/sh\n# (\S+\.sh) ", text))}
    assert named.keys() == {"verify.sh", "send.sh"}
    for name, text in named.items():
        (folder / name).write_text(text)
    return folder


def run_script(scripts: Path, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(scripts / name), *arguments],
        env={"PATH": os.environ["PATH"], "no_proxy": "*", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def verify_in_shell(scripts: Path, body: bytes, headers: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    (scripts / "body").write_bytes(body)
    variables = {
        f"WEBHOOK_{part}": headers.get(f"webhook-{part.lower()}", "") for part in ("ID", "TIMESTAMP", "SIGNATURE")
    }
    return run_script(scripts, "verify.sh", str(scripts / "body"), WEBHOOK_SECRET=SECRET, **variables)


@pytest.mark.parametrize("secrets", [(SECRET,), (SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)])
def test_the_shell_verifies_what_is_signed(scripts: Path, secrets: tuple[str, ...]) -> None:
    ended = verify_in_shell(scripts, BODY, signed(*secrets))
    assert (ended.returncode, ended.stdout) == (0, "verified\n"), ended.stderr


@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_shell_refuses_what_is_not_signed_so(scripts: Path, forgery: str) -> None:
    ended = verify_in_shell(scripts, *FORGERIES[forgery]())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"the timestamp is .*\n|no signature is by this secret.*\n", ended.stderr)


def test_what_the_shell_sends_is_accepted_with_the_right_secret_only(receiver: Receiver, scripts: Path) -> None:
    (scripts / "sent").write_bytes(BODY)
    for secret, status in ((SECRET, "204"), (OTHER_SECRET, "400")):
        ended = run_script(scripts, "send.sh", receiver.url, str(scripts / "sent"), WEBHOOK_SECRET=secret)
        assert (ended.stdout.strip(), ended.stderr) == (status, "")


def test_what_the_shell_sends_is_verified_by_gateway_listen(scripts: Path) -> None:
    (scripts / "sent").write_bytes(BODY)
    with Command("listen", "--port", "0", environment={"GATEWAY_WEBHOOK_SECRET": SECRET}) as command:
        url = command.wait_for(r"^Listening on (http://\S+)")[1]
        ended = run_script(scripts, "send.sh", url, str(scripts / "sent"), WEBHOOK_SECRET=SECRET)
        assert ended.stdout.strip() == "204"
        assert json.loads(command.wait_for(r"^\{.*\}$")[0])["verified"] is True


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_no_program_starts_without_a_secret(request: pytest.FixtureRequest, language: str) -> None:
    for path in request.getfixturevalue(f"{language}_files"):
        environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": "", "PORT": "0"}
        command = [program_for(language), str(path)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode != 0
        assert re.search("secret", ended.stderr, re.IGNORECASE)
        assert "Listening" not in ended.stdout
