"""Stands in a story for commands that do not end by themselves, take minutes, or need the network.

`python -m tests.documents.stand_in COMMAND ARGUMENT…`; what is nothing of the kind is executed as it is.

- `gateway up` says what the one of all pages has said.
- Any other server, or a worker, is run until it says that it is ready, and then asked to end. Its port is a free one.
- `make` tells what it would do, so that the target has to exist.
- `curl` keeps what it sent and was answered; a refusal is a failure.
- `pip install` has to name this project, its folder or a package that its tests install; all are there already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.documents.curl import curl
from tests.stack.process import ROOT

#: The words of a command that does not end, and what it says when it is ready.
READY = {
    ("gateway", "serve"): r"tail_connected",
    ("gateway", "listen"): r"until Ctrl-C",
    ("celery", "worker"): r" ready\.",
    ("celery", "flower"): r"Visit me at|Connected to",
    ("python", "receiver.py"): r"^Listening on",
}
#: Those that would take a port that somebody may have, and how they are given a free one.
FREE_PORT = {
    ("gateway", "serve"): ["--port=0"],
    ("gateway", "listen"): ["--port=0"],
    ("celery", "flower"): ["--port=0"],
}
#: Commands that the pages run with the login that owns the database.
OWNERS = frozenset({"adopt", "keys", "migrate", "orgs", "secret-keys", "users"})
#: In the environment of a story: that login and the one that serves, the folder of the `gateway up` of all pages,
#: and what that one has said.
OWNER_URL, SERVING_URL = "STORY_OWNER_URL", "STORY_SERVING_URL"
DATA_FOLDER, SAID = "STORY_DATA_FOLDER", "STORY_SAID"
#: And the socket at which commands are forked, for those that end; see tests/stack/forks.py.
FORKS = "STORY_FORKS"
FORKED = frozenset({"gateway", "celery"})


def main(command: str, arguments: Sequence[str]) -> int:
    if command == "make":
        return subprocess.run([real("make"), "--dry-run", "--directory", ROOT, *arguments], check=False).returncode
    if command == "pip":
        return pip(arguments)
    if command == "curl":
        return curl(real("curl"), arguments)
    return gateway(arguments) if command == "gateway" else execute(command, arguments)


def gateway(arguments: Sequence[str]) -> int:
    if list(arguments) == ["up"]:
        print(os.environ[SAID])
        return 0
    if OWNERS.intersection(arguments[:1]) and os.environ["DATABASE_URL"] == os.environ[SERVING_URL]:
        os.environ["DATABASE_URL"] = os.environ[OWNER_URL]
    folder = ["--data-dir", os.environ[DATA_FOLDER]] if "--up" in arguments else []
    return execute("gateway", [*arguments, *folder])


def execute(command: str, arguments: Sequence[str]) -> int:
    """To its end, or where it has none, until it is ready."""
    for words, ready in READY.items():
        if words[0] == command and words[1] in arguments:
            return run_until(ready, [real(command), *arguments, *FREE_PORT.get(words, ())])
    if command in FORKED:
        return ask_for_a_fork([command, *arguments])
    return subprocess.run([real(command), *arguments], check=False).returncode


def ask_for_a_fork(arguments: Sequence[str]) -> int:
    command = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ), "session": False}
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(os.environ[FORKS])
        socket.send_fds(asking, [json.dumps(command).encode()], [0, 1, 2])
        _process, status = asking.makefile("r")
        return int(status)


def real(command: str) -> str:
    """The program that a stand-in hides: it stands in the folder that is first on the path."""
    rest = os.environ["PATH"].partition(os.pathsep)[2]
    found = shutil.which(command, path=rest)
    if found is None:
        sys.exit(f"there is no {command} here")
    return found


def run_until(ready: str, command: Sequence[str]) -> int:
    """The status with which it ends when it is asked to, once it was ready; one that never was has failed."""
    said = False
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if not said and re.search(ready, line):
                said = True
                process.terminate()
    if not said:
        print(f"it never said that it is ready: {ready}", file=sys.stderr)
    ended_well = process.returncode in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    return 0 if said and ended_well else process.returncode or 1


def pip(arguments: Sequence[str]) -> int:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    action, *wanted = [argument for argument in arguments if not argument.startswith("-")]
    for text in wanted:
        name, extra = re.fullmatch(r"([\w.-]+)(?:\[(\w+)\])?(?: @ \.)?", text).groups()
        known = name == "." or re.search(rf'"{name}[">=]', metadata)
        if action != "install" or not known or (extra and f"\n{extra} = [" not in metadata):
            print(f"nothing here installs {text}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
