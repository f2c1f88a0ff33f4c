"""Groups of runs as a caller starts them, and what of them only the database tells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.gsm8k import EXTRACT, TOTAL
from tests.shared_data import json_lines
from tests.stack.client import Client
from tests.waiting import until

MODELS = ("175b_finetuning", "6b_finetuning")
NOWHERE = "http://127.0.0.1:9/"


def add_model(client: Client, url: str, model: str) -> str:
    request = {"model": model, "messages": [{"role": "user", "content": "{{ input }}"}]}
    response = {"output": "$.choices[0].message.content"}
    endpoint = {"name": model, "url": url, "request": request, "response": response}
    return str(client.post("/v1/endpoints", endpoint)["id"])


def compare_models(client: Client, shared: Path, url: str, total: int = TOTAL) -> dict[str, Any]:
    """Start the benchmark, or its first questions, with both models."""
    questions = json_lines(shared / "data" / "gsm8k" / "questions.jsonl")[:total]
    tests = [{"input": row["question"], "expected": row["expected"]} for row in questions]
    test_set = client.post("/v1/test-sets", {"name": "gsm8k", "tests": tests})["id"]
    asked = {
        "endpoint_ids": [add_model(client, url, model) for model in MODELS],
        "configuration": {"metrics": [EXTRACT], "concurrency": 50},
    }
    return dict(client.post(f"/v1/test-sets/{test_set}/execute", asked))


def verdicts(shared: Path, total: int = TOTAL) -> list[tuple[bool, bool]]:
    """Whether the authors mark the answers of the models as correct, question by question."""
    recorded = [json_lines(shared / "data" / "gsm8k" / f"recorded_{model}.jsonl")[:total] for model in MODELS]
    return [(first["is_correct"], second["is_correct"]) for first, second in zip(*recorded, strict=True)]


def ask(client: Client, *urls: str, questions: tuple[str, ...] = ("say a", "say b"), **spec: Any) -> dict[str, Any]:
    """Start a group of one run for each application."""
    tests = [{"input": question, "expected": question.removeprefix("say ")} for question in questions]
    test_set = client.post("/v1/test-sets", {"name": "questions", "tests": tests})["id"]
    endpoint = {"name": "app", "request": {"input": "{{ input }}"}, "max_attempts": 1}
    endpoints = [client.post("/v1/endpoints", endpoint | {"url": url})["id"] for url in urls]
    asked = {"endpoint_ids": endpoints, "configuration": {"metrics": [{"type": "equals"}]} | spec}
    return dict(client.post(f"/v1/test-sets/{test_set}/execute", asked))


def statuses(group: dict[str, Any]) -> list[str]:
    return [run["status"] for run in group["runs"]]


def joins(admin: psycopg.Connection, task_id: str) -> list[tuple[int, int, bool]]:
    """The chords whose body is the task: their parts, how many of them returned, and whether the body was sent."""
    statement = "SELECT size, done, fired_at IS NOT NULL FROM chord WHERE body #>> '{options,task_id}' = %s"
    return admin.execute(statement, (task_id,)).fetchall()


def assert_joined_once(client: Client, admin: psycopg.Connection, submitted: dict[str, Any], *, parts: int) -> None:
    assert client.ended(submitted["task_id"])["status"] == "SUCCESS"
    until(lambda: joins(admin, submitted["task_id"]) == [(parts, parts, True)])
    events = client.events(f"/v1/tasks/{submitted['task_id']}/events", cursor="0")
    kinds = Counter(event.type for event in events)
    assert (kinds["task.pending"], kinds["task.succeeded"]) == (1, 1)
