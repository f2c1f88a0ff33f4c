"""GSM8K as a test set: its questions, the endpoint that answers them, and the published way to judge an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.shared_data import json_lines
from tests.stack.client import Client

TOTAL = 1319
EXTRACT = {"type": "extract", "pattern": "A: (-?[0-9.,]+)", "drop": ",", "compare": "text"}


def configure(
    client: Client,
    shared: Path,
    url: str,
    model: str = "6b_finetuning",
    *,
    total: int = TOTAL,
    tag: Callable[[str], str] | None = None,
    max_attempts: int = 3,
    limits: dict[str, Any] | None = None,
    **configuration: Any,
) -> str:
    """Store the benchmark, or its first questions, each with a tag; the id of its configuration.

    `limits` are the endpoint's.
    """
    questions = json_lines(shared / "data" / "gsm8k" / "questions.jsonl")[:total]
    return client.configure(
        endpoint={
            "url": url,
            "request": {"model": model, "messages": [{"role": "user", "content": "{{ input }}"}]},
            "response": {"output": "$.choices[0].message.content"},
            "max_attempts": max_attempts,
            **(limits or {}),
        },
        tests=[
            {"input": row["question"], "expected": row["expected"]}
            | ({} if tag is None else {"tags": [tag(row["question"])]})
            for row in questions
        ],
        **{"metrics": [EXTRACT], "concurrency": 50, "per_test_timeout": 30} | configuration,
    )


def counts(run: dict[str, Any]) -> dict[str, Any]:
    names = ("status", "total", "pending", "passed", "failed", "errored", "cancelled", "unscored")
    return {name: run[name] for name in names}


def expected(status: str, *, passed: int, errored: int = 0, total: int = TOTAL) -> dict[str, Any]:
    """What a run must end as."""
    failed = total - passed - errored
    none = {"pending": 0, "cancelled": 0, "unscored": 0}
    return {"status": status, "total": total, "passed": passed, "failed": failed, "errored": errored} | none


def passed_among(shared: Path, total: int, model: str = "6b_finetuning") -> int:
    """How many of the first answers the authors mark as correct."""
    return sum(row["is_correct"] for row in json_lines(shared / "data" / "gsm8k" / f"recorded_{model}.jsonl")[:total])
