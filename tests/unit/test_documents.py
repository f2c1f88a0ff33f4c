"""The documents tell what there is: settings, commands, targets."""

from __future__ import annotations

import re

import pytest

import gateway.app  # noqa: F401 - with it every error there is
from gateway.api.problems import problem_kinds
from gateway.cli.main import COMMANDS
from tests.deployment import variables
from tests.documents.blocks import blocks_of, pages
from tests.stack.process import ROOT


def test_every_setting_is_documented_and_nothing_else() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    documented = set(re.findall(r"`((?:GATEWAY|CELERY|DATABASE|BROKER)_\w+)`", text))
    assert documented == variables() | {"GATEWAY_URL", "GATEWAY_API_KEY", "GATEWAY_WEBHOOK_SECRET"}


def test_every_problem_is_documented_once_with_its_status_and_nothing_else() -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert len(set(rows)) == len(rows)
    assert set(rows) == {(str(kind.status), code) for code, kind in problem_kinds().items()}


@pytest.mark.parametrize("name", pages())
def test_a_document_names_only_commands_and_targets_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    commands = "\n".join(block.text for block in blocks_of(name) if block.language in {"sh", "console"})
    named = set(
        re.findall(r"`gateway ([a-z-]+)", text) + re.findall(r"^(?:\$ )?gateway ([a-z-]+)", commands, re.MULTILINE)
    )
    assert named <= COMMANDS.keys()
    targets = set(re.findall(r"`make ([\w-]+)|^make ([\w-]+)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{first or second}:" in makefile for first, second in targets)


def test_what_the_doctor_says_is_to_be_done_names_commands_that_exist() -> None:
    told = "\n".join(path.read_text() for path in (ROOT / "gateway" / "doctor").glob("*.py"))
    named = set(re.findall(r"`gateway ([a-z-]+)", told))
    assert "migrate" in named
    assert named <= COMMANDS.keys()


@pytest.mark.parametrize("name", ["README.md", *sorted(path.name for path in (ROOT / "docs").glob("*.md"))])
def test_a_link_leads_somewhere(name: str) -> None:
    path = ROOT / name if name == "README.md" else ROOT / "docs" / name
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_readme_names_modules_that_exist() -> None:
    (block,) = (block for block in blocks_of("README.md") if block.text.startswith("gateway/ "))
    folder = ""
    for line in block.text.strip().splitlines():
        words = re.match(r"( *)(\S+(?: \S+)*?)(?:  |$)", line)
        assert words is not None
        folder = words[2] if not words[1] else folder
        for word in words[2].split() if words[1] else [words[2]]:
            assert list((ROOT / (folder if words[1] else "")).glob(word.rstrip("/"))), word


def test_the_tests_that_the_threat_model_names_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "security.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert named <= set(re.findall(r"^(?:async )?def (test_\w+)", sources, re.MULTILINE))
