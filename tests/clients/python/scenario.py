"""What a caller does with the generated client for Python: define, execute, wait, read, watch, cancel, be refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TypeVar
from uuid import UUID

import httpx
from task_status_client import AuthenticatedClient
from task_status_client.api.endpoints import create_endpoint
from task_status_client.api.test_configurations import create_test_configuration, execute_test_configuration
from task_status_client.api.test_runs import cancel_test_run, get_test_run, list_test_results
from task_status_client.api.test_sets import create_test_set
from task_status_client.models import (
    Endpoint,
    EndpointCreation,
    Equals,
    Event,
    EventType,
    Problem,
    ResultStatus,
    RunStatus,
    RunSubmitted,
    TestConfiguration,
    TestConfigurationCreation,
    TestCreation,
    TestResultPage,
    TestRun,
    TestSet,
    TestSetCreation,
)

OPEN = {RunStatus.QUEUED, RunStatus.RUNNING}
Answer = TypeVar("Answer")


def expect(kind: type[Answer], answer: object) -> Answer:
    """The answer, if it is what was asked for; otherwise it is the problem that says why not."""
    if isinstance(answer, Problem):
        raise SystemExit(f"{answer.status} {answer.code}: {answer.detail}")
    assert isinstance(answer, kind), answer
    return answer


def configure(client: AuthenticatedClient, endpoint_url: str, questions: list[str]) -> TestConfiguration:
    made = create_endpoint.sync(
        client=client,
        body=EndpointCreation(name="assistant", url=endpoint_url, request={"input": "{{ input }}"}),
    )
    endpoint = expect(Endpoint, made)
    tests = [TestCreation(input_=question, expected="yes") for question in questions]
    test_set = expect(TestSet, create_test_set.sync(client=client, body=TestSetCreation(name="manners", tests=tests)))
    configuration = TestConfigurationCreation(
        name="manners of the assistant",
        endpoint_id=endpoint.id,
        test_set_id=test_set.id,
        metrics=[Equals(type_="equals")],
    )
    return expect(TestConfiguration, create_test_configuration.sync(client=client, body=configuration))


def execute(client: AuthenticatedClient, configuration: TestConfiguration) -> UUID:
    submitted = execute_test_configuration.sync(configuration.id, client=client)
    return expect(RunSubmitted, submitted).test_run_id


def wait(client: AuthenticatedClient, test_run_id: UUID) -> TestRun:
    """Each request is answered when the run has ended, or after 30 seconds."""
    while True:
        run = expect(TestRun, get_test_run.sync(test_run_id, client=client, prefer="wait=30"))
        if run.status not in OPEN:
            return run


def watch(client: AuthenticatedClient, path: str) -> Iterator[Event]:
    """The events of a stream; the generated operation would answer with all of them when it has ended."""
    http = client.get_httpx_client()
    with http.stream("GET", path, params={"after": 0}, headers={"Accept": "text/event-stream"}) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                yield Event.from_dict(json.loads(line.removeprefix("data:")))


def main() -> None:
    client = AuthenticatedClient(os.environ["GATEWAY_URL"], os.environ["GATEWAY_API_KEY"], timeout=httpx.Timeout(60))
    with client:
        configuration = configure(client, os.environ["ASSISTANT_URL"], ["say yes", "say no", "say yes"])
        run = wait(client, execute(client, configuration))
        print(f"{run.status}: {run.passed} of {run.total} passed")
        wrong = list_test_results.sync(run.id, client=client, status=[ResultStatus.FAIL])
        for result in expect(TestResultPage, wrong).items:
            print(f"{result.status}: {result.input_}")
        events = list(watch(client, run.links.events))
        assert events[-1].type_ is EventType.TEST_RUN_COMPLETED
        print(f"from {events[0].type_} to {events[-1].type_}")

        waiting = execute(client, configure(client, os.environ["ASSISTANT_URL"], ["wait"]))
        expect(TestRun, cancel_test_run.sync(waiting, client=client))
        print(wait(client, waiting).status)

        problem = get_test_run.sync(UUID(int=0), client=client)
        assert isinstance(problem, Problem)
        print(problem.status, problem.code)
        refused = create_test_set.sync(client=client, body=TestSetCreation(name=""))
        assert isinstance(refused, Problem)
        assert refused.errors
        print(refused.status, refused.code, refused.errors[0].pointer)


main()
