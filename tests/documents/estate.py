"""What the pages take for given: an organization with an application, its tests, two runs and a task."""

from __future__ import annotations

from tests.stack.client import Client

TESTS = [
    {"input": f"What is {first} + {second}?", "expected": f"Answer: {first + second}", "tags": ["smoke"]}
    for first, second in ((2, 2), (3, 5), (20, 22))
]


def prepare(client: Client, assistant_url: str) -> dict[str, str]:
    """Make it; the ids, by the variables that the pages name them by."""
    spec = {"url": assistant_url, "request": {"input": "{{ input }}"}}
    old, new = (client.post("/v1/endpoints", {"name": name} | spec)["id"] for name in ("old", "new"))
    tests = client.post("/v1/test-sets", {"name": "sums", "tests": TESTS})["id"]
    named = {"name": "sums of old", "endpoint_id": old, "test_set_id": tests, "metrics": [{"type": "equals"}]}
    configuration = client.post("/v1/test-configurations", named)["id"]
    runs = [client.execute(configuration) for _ in range(2)]
    task = client.submit("echo", "hello")
    for run in runs:
        client.settled(run)
    client.ended(task)
    return {
        "OLD": old,
        "NEW": new,
        "ENDPOINT": old,
        "SET": tests,
        "CONFIGURATION": configuration,
        "RUN": runs[0],
        "OTHER_RUN": runs[1],
        "TASK": task,
    }


#: Where a Celery app keeps its results, for the page that adopts one.
RESULT_TABLE = """
CREATE TABLE public.celery_taskmeta (
  id integer PRIMARY KEY, task_id varchar(155) UNIQUE, status varchar(50), result bytea, date_done timestamp,
  traceback text
)
"""
