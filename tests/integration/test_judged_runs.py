"""Judges and named metrics in a run: errors that are no fails, stored endpoints, versions, and rescoring."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Barrier, Event, Lock
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.lane_runs import Runs, opened_runs, serving
from tests.postgres import TestDatabase
from tests.records import act_for, add_organization
from tests.rest import SECRET_KEY
from tests.stack.judge import JudgeServer, Reply, judge_server, replies
from workerapp.contract.endpoint_secrets import hide_secrets, secrets_of
from workerapp.contract.repetition import AnswersAgain
from workerapp.contract.specs import EndpointSpec
from workerapp.db.sealing import endpoint_place
from workerapp.execution.plan import RESCORE_OF

GOOD, BAD = '{"reason": "right", "passed": true}', '{"reason": "wrong", "passed": false}'
CHAT = {"name": "our judge", "preset": "openai_chat", "model": "large"}


@pytest.fixture
def runs(database: TestDatabase) -> Iterator[Runs]:
    with opened_runs(database, secret_keys=(SECRET_KEY,)) as opened:
        yield opened


def llm(server: JudgeServer, **fields: Any) -> dict[str, Any]:
    return {"type": "llm_judge", "url": server.chat_url, "model": "small", "rubric": "It is right."} | fields


def stored_endpoint(runs: Runs, organization_id: UUID | None = None, **fields: Any) -> str:
    spec = EndpointSpec.model_validate(CHAT | fields)
    secrets = secrets_of(spec)
    owner, key = organization_id or runs.organization_id, uuid4()
    sealed = None if secrets is None else runs.settings.sealer.seal(secrets, endpoint_place(owner, key))
    row = (key, owner, spec.name, Jsonb(hide_secrets(spec)), sealed)
    return inserted(
        runs.admin,
        owner,
        "INSERT INTO endpoint (id, organization_id, name, spec, sealed_headers) VALUES (%s, %s, %s, %s, %s)",
        row,
    )


def named_metric(runs: Runs, spec: dict[str, Any], name: str = "ours", organization_id: UUID | None = None) -> str:
    owner = organization_id or runs.organization_id
    statement = "INSERT INTO metric (organization_id, name, spec) VALUES (%s, %s, %s)"
    return inserted(runs.admin, owner, statement, (owner, name, Jsonb(spec)))


def inserted(admin: psycopg.Connection, owner: UUID, statement: str, row: tuple[Any, ...]) -> str:
    act_for(admin, owner)
    made = admin.execute(f"{statement} RETURNING id".encode(), row).fetchone()
    assert made is not None
    return str(made[0])


def results(runs: Runs, run: UUID) -> list[Any]:
    act_for(runs.admin, runs.organization_id)
    statement = "SELECT to_jsonb(r) FROM test_result r WHERE test_run_id = %s ORDER BY position"
    return [row[0] for row in runs.admin.execute(statement, (run,)).fetchall()]


async def judged(runs: Runs, metrics: list[dict[str, Any]], **test: Any) -> Any:
    """The row of one test that was run."""
    async with serving() as application:
        (lane,) = runs.plan(application.url, [{"input": "18", "expected": "18"} | test], metrics=metrics)
        await runs.work(lane)
    return results(runs, lane.test_run_id)[0]


async def test_a_judge_that_gives_no_verdict_makes_an_error_and_never_a_fail(runs: Runs):
    with judge_server(replies("I like it.")) as server:
        row = await judged(runs, [{"type": "equals"}, llm(server, name="tone")])
    assert (row["status"], row["error"]["code"]) == ("error", "not_judged")
    assert row["error"]["message"].startswith("tone: the judge small at 127.0.0.1:")
    assert [one["passed"] for one in row["scores"]["scores"]] == [True, None]
    assert runs.status(UUID(row["test_run_id"])) == "failed"


async def test_a_judge_without_weight_that_fails_decides_nothing(runs: Runs):
    with judge_server(replies(Reply(status=500))) as server:
        row = await judged(runs, [{"type": "equals"}, llm(server, weight=0)])
    assert (row["status"], row["scores"]["scores"][1]["passed"]) == ("pass", None)


async def test_judges_are_asked_at_once_and_reported_in_the_order_of_the_metrics(runs: Runs):
    asked: list[Any] = []

    def script(body: Any) -> Reply:
        # None is answered before all are asked.
        asked.append(body)
        met.wait()
        return Reply(said=GOOD if "messages" in body else '{"score": 0.25, "reason": "thin"}')

    met = Barrier(3, timeout=20)
    with judge_server(script) as server:
        service = {"type": "webhook", "url": server.service_url, "name": "service", "threshold": 0.5}
        metrics = [llm(server, name="one"), {"type": "equals"}, service, llm(server, name="two", rubric="It is short.")]
        row = await judged(runs, metrics)
    scores = row["scores"]["scores"]
    assert [(one["name"], one["passed"]) for one in scores] == [
        ("one", True),
        ("equals", True),
        ("service", False),
        ("two", True),
    ]
    assert (row["status"], row["scores"]["reason"]) == ("fail", "service: thin")
    assert all(one["duration_ms"] > 0 for one in scores)
    assert len(asked) == 3


async def test_an_assertion_of_a_test_may_be_a_judge(runs: Runs):
    with judge_server(replies(BAD)) as server:
        row = await judged(runs, [{"type": "equals"}], assertions=[llm(server)])
    assert (row["status"], row["scores"]["reason"]) == ("fail", "llm_judge: wrong")


async def test_what_an_application_says_it_answered_by_is_the_context(runs: Runs):
    endpoint = {"response": {"output": "$.output", "context": "$.output"}}
    with judge_server(replies(GOOD)) as server:
        async with serving() as application:
            metrics = [llm(server, include=["output", "context"])]
            (lane,) = runs.plan(application.url, [{"input": "plum"}], metrics=metrics, endpoint=endpoint)
            await runs.work(lane)
    assert server.shown().count("plum") == 2


async def test_the_secrets_of_a_stored_judge_are_opened_by_the_lane(runs: Runs):
    with judge_server(replies(GOOD)) as server:
        auth = {"type": "bearer", "token": "hunter2"}
        endpoint_id = stored_endpoint(runs, url=server.chat_url, auth=auth)
        row = await judged(runs, [{"type": "llm_judge", "endpoint_id": endpoint_id, "rubric": "x"}])
    assert (row["status"], server.authorizations) == ("pass", ["Bearer hunter2"])
    assert "hunter2" not in json.dumps(row)


async def test_a_judge_whose_secrets_cannot_be_opened_makes_an_error(runs: Runs):
    with judge_server(replies(GOOD)) as server:
        auth = {"type": "bearer", "token": "hunter2"}
        endpoint_id = stored_endpoint(runs, url=server.chat_url, auth=auth)
        runs.admin.execute("UPDATE endpoint SET sealed_headers = 'sealed with a key that is gone'")
        row = await judged(runs, [{"type": "llm_judge", "endpoint_id": endpoint_id, "rubric": "x"}])
    assert (row["status"], row["error"]["code"], server.bodies) == ("error", "not_judged", [])
    assert "cannot open the secrets" in row["error"]["message"]


@pytest.mark.parametrize("case", ["archived", "another organization's", "unknown"])
async def test_a_stored_judge_that_cannot_be_used_makes_an_error(runs: Runs, case: str):
    with judge_server(replies(GOOD)) as server:
        stranger = add_organization(runs.admin) if case == "another organization's" else None
        endpoint_id = str(uuid4()) if case == "unknown" else stored_endpoint(runs, stranger, url=server.chat_url)
        if case == "archived":
            runs.admin.execute("UPDATE endpoint SET archived_at = now() WHERE id = %s", (endpoint_id,))
        row = await judged(runs, [{"type": "llm_judge", "endpoint_id": endpoint_id, "rubric": "x"}])
    assert (row["status"], row["error"]["code"], server.bodies) == ("error", "not_judged", [])
    problem = "is archived" if case == "archived" else "there is no endpoint"
    assert problem in row["error"]["message"]


async def test_a_lane_asks_a_judge_no_more_at_once_than_its_endpoint_takes(runs: Runs):
    one, crowded = Lock(), Event()

    def script(_: Any) -> Reply:
        if not one.acquire(blocking=False):
            crowded.set()
            return Reply(said=GOOD)
        # Long enough for another one to come, if one may.
        crowded.wait(0.02)
        one.release()
        return Reply(said=GOOD)

    with judge_server(script) as server:
        endpoint_id = stored_endpoint(runs, url=server.chat_url, max_concurrency=1)
        judge = {"type": "llm_judge", "endpoint_id": endpoint_id, "rubric": "x"}
        metrics = [judge, judge | {"rubric": "y", "timeout": 50}]
        async with serving() as application:
            (lane,) = runs.plan(application.url, [{"input": str(number)} for number in range(10)], metrics=metrics)
            await runs.work(lane)
    assert set(runs.statuses(lane.test_run_id).values()) == {"pass"}
    assert (crowded.is_set(), len(server.bodies)) == (False, 20)


async def test_a_rescore_asks_the_judges_and_not_the_application(runs: Runs):
    with judge_server(replies(GOOD, BAD)) as server:
        async with serving() as application:
            (lane,) = runs.plan(application.url, [{"input": "18"}], metrics=[llm(server)])
            await runs.work(lane)
            (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
            await runs.work(again)
        assert application.asked["18"] == 1
    assert runs.statuses(lane.test_run_id) == {"18": "pass"}
    assert runs.statuses(again.test_run_id) == {"18": "fail"}
    assert len(server.bodies) == 2


async def test_a_named_metric_judges_with_what_its_reference_changes(runs: Runs):
    spec = {"type": "levenshtein", "value": "19", "threshold": 0.9}
    metric_id = named_metric(runs, spec, name="nearly")
    reference = {"type": "metric", "metric_id": metric_id}
    changed = reference | {"name": "half", "threshold": 0.5, "weight": 3}
    negated = reference | {"name": "not so", "not": True}
    row = await judged(runs, [reference, changed], assertions=[negated])
    scores = row["scores"]["scores"]
    assert [(one["name"], one["type"], one["passed"], one["threshold"]) for one in scores] == [
        ("not so", "levenshtein", True, 0.9),
        ("nearly", "levenshtein", False, 0.9),
        ("half", "levenshtein", True, 0.5),
    ]
    assert {(one["metric_id"], one["metric_version"]) for one in scores} == {(metric_id, 1)}


async def test_a_run_is_judged_by_the_versions_it_was_planned_with(runs: Runs):
    configured, own = (named_metric(runs, {"type": "contains", "value": "1"}, name=name) for name in ("a", "b"))
    test = {"input": "18", "assertions": [{"type": "metric", "metric_id": own}]}
    async with serving() as application:
        (lane,) = runs.plan(application.url, [test], metrics=[{"type": "metric", "metric_id": configured}])
        runs.admin.execute(
            "UPDATE metric SET spec = %s, version = 2, archived_at = CASE WHEN id = %s THEN now() END",
            (Jsonb({"type": "contains", "value": "2"}), configured),
        )
        await runs.work(lane)
        (again,) = runs.repeat(lane.test_run_id, AnswersAgain(source_id=lane.test_run_id))
        await runs.work(again)
    (first,), (second,) = results(runs, lane.test_run_id), results(runs, again.test_run_id)
    assert first["status"] == "pass"
    assert [one["metric_version"] for one in first["scores"]["scores"]] == [1, 1]
    # What is planned later has the version of then, and nothing that was archived before.
    judged_by_own, archived = second["scores"]["scores"]
    assert (judged_by_own["metric_version"], judged_by_own["passed"]) == (2, False)
    assert (archived["metric_id"], archived["passed"]) == (configured, None)
    assert second["error"]["message"] == f"metric: {archived['reason']}"
    assert "it was archived" in archived["reason"]


async def test_turns_are_judged_with_the_conversation_before_them(runs: Runs):
    with judge_server(replies(GOOD)) as server:
        metric_id = named_metric(runs, {"type": "webhook", "url": server.service_url}, name="service")
        own = [{"type": "metric", "metric_id": metric_id}]
        turns = [{"input": "a"}, {"input": "b", "expected": "b", "assertions": own}, {"input": "c", "expected": "c"}]
        async with serving() as application:
            test = {"input": None, "turns": turns}
            (lane,) = runs.plan(application.url, [test], metrics=[llm(server, include=["input", "output", "expected"])])
            await runs.work(lane)
    (row,) = results(runs, lane.test_run_id)
    said = [{"role": role, "content": text} for text in "ab" for role in ("user", "assistant")]
    assert row["status"] == "pass"
    assert [(one["name"], one["turn"]) for one in row["scores"]["scores"]] == [("service", 2), ("llm_judge", None)]
    service, model = sorted(server.bodies, key=lambda body: "messages" in body)
    assert (service["turn"], service["input"], service["output"]) == (2, said[:3], "b")
    data = model["messages"][1]["content"]
    assert json.dumps([*said, {"role": "user", "content": "c"}], separators=(",", ":")) in data
    # What the last turn expects is what the test does.
    assert data.count("\nc\n=====") == 2


async def test_another_organizations_named_metric_does_not_judge(runs: Runs):
    stranger = add_organization(runs.admin)
    theirs = named_metric(runs, {"type": "contains", "value": "1"}, organization_id=stranger)
    row = await judged(runs, [{"type": "metric", "metric_id": theirs, "name": "theirs"}])
    assert (row["status"], row["error"]["code"]) == ("error", "not_judged")
    snapshot = runs.row("SELECT snapshot FROM test_run WHERE id = %s", row["test_run_id"])[0]
    assert snapshot["named_metrics"] == {}
    assert RESCORE_OF not in snapshot


async def test_a_change_that_a_named_metric_cannot_have_is_told(runs: Runs):
    metric_id = named_metric(runs, {"type": "contains", "value": "1"}, name="plain")
    row = await judged(runs, [{"type": "metric", "metric_id": metric_id, "threshold_operator": "<"}])
    message = "metric: the metric 'plain' cannot be used like this: threshold_operator needs a threshold"
    assert (row["status"], row["error"]["message"]) == ("error", message)


async def test_a_named_metric_may_be_a_judge(runs: Runs):
    with judge_server(replies(GOOD)) as server:
        metric_id = named_metric(runs, llm(server), name="right")
        row = await judged(runs, [{"type": "metric", "metric_id": metric_id}])
    assert (row["status"], row["scores"]["scores"][0]["type"]) == ("pass", "llm_judge")
    assert "It is right." in server.shown()
