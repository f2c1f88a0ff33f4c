"""Holds what the `curl` commands of a page sent, and were answered, against openapi.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.contract import contract


def check(path: Path) -> int:
    """Raise if something that was sent or answered is not in the document; how much was looked at."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        kept = json.loads(line)
        request = httpx.Request(
            kept["method"], kept["url"], content=kept["sent"], headers={"Content-Type": "application/json"}
        )
        response = httpx.Response(
            kept["status"],
            headers=[(name, value) for name, value in kept["headers"] if name.lower() != "transfer-encoding"],
            content=kept["body"],
            request=request,
        )
        if kept["body"] is None:
            contract().check_beginning(response)
        else:
            contract().check(response)
    return len(lines)
