"""Runs `curl` for a story, and keeps what it sent and what came back, to be held against openapi.yaml later."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

#: The file, as a variable of the story's environment.
EXCHANGES = "STORY_EXCHANGES"
_BAD_REQUEST = 400
_REFUSED = 22  # curl's own status for `--fail`


def curl(program: str, arguments: Sequence[str]) -> int:
    """Run it, say what it says, and keep the exchange. A refusal is a failure, whatever curl thinks of it."""
    with tempfile.NamedTemporaryFile("r", encoding="latin-1", newline="") as kept:
        asked = ["--dump-header", kept.name, "--write-out", "%{stderr}%{method} %{url_effective}\n"]
        done = subprocess.run([program, *arguments, *asked], capture_output=True, check=False)
        head = kept.read()
    os.write(1, done.stdout)
    *_, last = done.stderr.decode().splitlines() or [""]
    if done.returncode != 0 or not head:
        os.write(2, done.stderr)
        return done.returncode
    method, url = last.split(" ", 1)
    status = int(head.split()[1])
    exchange = {
        "method": method,
        "url": url,
        "status": status,
        "headers": [line.split(": ", 1) for line in head.splitlines() if ": " in line],
        "sent": _sent(arguments),
        "body": None if {"-o", "--output"} & set(arguments) else done.stdout.decode().removeprefix(head),
    }
    with Path(os.environ[EXCHANGES]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(exchange) + "\n")
    return _REFUSED if status >= _BAD_REQUEST else 0


def _sent(arguments: Sequence[str]) -> str | None:
    for option, value in pairwise(arguments):
        if option in {"-d", "--data"} and value.startswith("{"):
            return value
    return None
