"""The document of each version that was released, as it is kept here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.contract import DOCUMENT

FOLDER = Path(__file__).parent / "released"
CHANGELOG = DOCUMENT.parent / "CHANGELOG.md"


def released_versions() -> list[str]:
    """By the changelog, the latest first."""
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\]", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)


def kept_document(version: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / f"{version}.yaml").read_text(encoding="utf-8"))
    return document


def keep() -> Path:
    """Keep the document as that of the version it names."""
    text = DOCUMENT.read_text(encoding="utf-8")
    kept = FOLDER / f"{yaml.safe_load(text)['info']['version']}.yaml"
    kept.write_text(text, encoding="utf-8")
    return kept
