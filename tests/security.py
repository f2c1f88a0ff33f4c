"""What docs/security.md says, for the tests that hold it against the database."""

from __future__ import annotations

import re

from tests.stack.process import ROOT


def documented(title: str) -> set[str]:
    """The names of tables or functions in the lists and the table of a section."""
    text = (ROOT / "docs" / "security.md").read_text()
    section = re.split("\n##+ ", text.split(f"\n### {title}\n")[1])[0]
    listed = "\n".join(line for line in section.splitlines() if line.startswith(("- ", "| ")))
    return set(re.findall(r"`([a-z0-9_]+)`", listed))
