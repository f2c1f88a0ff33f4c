"""Runs that judges decide, over REST and a worker: a language model, a service, and a named metric of both."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.application import application
from tests.stack.client import Client
from tests.stack.judge import JudgeServer, Reply, judge_server
from tests.stack.services import Worker

TESTS = [{"input": f"say {word}", "expected": word} for word in ("good", "bad", "odd")]


def opinion(body: Any) -> Reply:
    """For what is good, against what is bad, and nonsense about what is odd."""
    is_chat = "messages" in body
    shown = body["messages"][-1]["content"] if is_chat else body["output"]
    if "odd" in shown:
        return Reply(said="It is odd indeed.") if is_chat else Reply(status=500, said="out of order")
    passed = "true" if "good" in shown else "false"
    return Reply(said=f'{{"reason": "as it seems", "passed": {passed}}}')


def judge(server: JudgeServer, kind: str) -> dict[str, Any]:
    if kind == "webhook":
        return {"type": "webhook", "url": server.service_url}
    return {"type": "llm_judge", "url": server.chat_url, "model": "small", "rubric": "It is good."}


def outcomes(client: Client, run_id: str) -> dict[str, tuple[str, str | None]]:
    return {
        result["expected"]: (result["status"], result["error"] and result["error"]["code"])
        for result in client.results(run_id)
    }


@pytest.mark.parametrize("kind", ["llm_judge", "webhook"])
def test_a_judge_passes_fails_and_may_not_know(client: Client, worker: Worker, kind: str):
    with application() as app, judge_server(opinion) as server:
        endpoint = {"url": app.url, "request": {"input": "{{ input }}"}}
        configuration = client.configure(endpoint=endpoint, tests=TESTS, metrics=[judge(server, kind)])
        run_id = client.execute(configuration)
        run = client.settled(run_id)
        expected = {"good": ("pass", None), "bad": ("fail", None), "odd": ("error", "not_judged")}
        assert outcomes(client, run_id) == expected
        assert (run["status"], run["passed"], run["failed"], run["errored"]) == ("partial", 1, 1, 1)
        asked = app.asked.total()
        again = client.post(f"/v1/test-runs/{run_id}/rescore", {})["test_run_id"]
        client.settled(again)
        assert outcomes(client, again) == expected
        assert app.asked.total() == asked


def test_a_run_tells_which_version_of_a_named_metric_judged_it(client: Client, worker: Worker):
    with application() as app, judge_server(opinion) as server:
        metric = client.post("/v1/metrics", {"name": "good", "spec": judge(server, "llm_judge")})
        tests = [
            {
                **TESTS[1],
                "assertions": [{"type": "metric", "metric_id": metric["id"], "not_": True, "name": "not good"}],
            }
        ]
        endpoint = {"url": app.url, "request": {"input": "{{ input }}"}}
        reference = {"type": "metric", "metric_id": metric["id"]}
        configuration = client.configure(endpoint=endpoint, tests=tests, metrics=[reference])
        runs = [client.execute(configuration)]
        client.settled(runs[0])
        client.http.patch(metric["links"]["self"], json={"spec": {"type": "equals"}}).raise_for_status()
        runs.append(client.execute(configuration))
        client.settled(runs[1])
    first, second = (client.results(run)[0]["scores"]["scores"] for run in runs)
    told = [
        [(one["name"], one["type"], one["passed"], one["metric_version"]) for one in scores]
        for scores in (first, second)
    ]
    assert told == [
        [("not good", "llm_judge", True, 1), ("good", "llm_judge", False, 1)],
        [("not good", "equals", False, 2), ("good", "equals", True, 2)],
    ]
    assert {one["metric_id"] for one in first + second} == {metric["id"]}
