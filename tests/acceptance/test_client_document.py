"""What docs/client.md shows is run, each example as a program of its own, and says what the document says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.stack.application import Application
from tests.stack.client import Client
from tests.stack.process import ROOT
from tests.stack.services import Gateway

pytestmark = pytest.mark.usefixtures("worker")

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs" / "client.md").read_text())
#: Each example with the text below it, which is what it prints; none where that is another one each time.
EXAMPLES = [
    (text, below[1] if below[0] == "text" else None)
    for (kind, text), below in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True)
    if kind == "python"
]


@pytest.mark.parametrize(("program", "said"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_does_what_it_says(
    program: str, said: str | None, client: Client, gateway: Gateway, app: Application
) -> None:
    environment = {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": client.key, "ASSISTANT_URL": app.url}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | environment | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if said is None:
        assert re.match(r"1 task\.pending\n2 task\.started\n", done.stdout), done.stdout
        assert "task.succeeded" in done.stdout
    else:
        assert done.stdout == said


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3
