"""Recorded data from outside the project, found by GATEWAY_TEST_DATA; its tests are skipped where it is absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def shared_folder() -> Path:
    """The folder that holds data/gsm8k and tools/recorded_endpoint.py."""
    named = os.environ.get("GATEWAY_TEST_DATA")
    if not named:
        pytest.skip("GATEWAY_TEST_DATA does not name a folder with recorded model answers")
    folder = Path(named)
    if not (folder / "data" / "gsm8k" / "questions.jsonl").is_file():
        pytest.skip(f"GATEWAY_TEST_DATA={named} has no data/gsm8k/questions.jsonl")
    return folder


def json_lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
