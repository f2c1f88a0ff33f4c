"""`gateway.client`, both of them, on a gateway and a worker: submit, follow, wait, read, and gateways that go away."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psycopg
import pytest

from gateway.client import (
    Conflict,
    Event,
    Forbidden,
    GatewayClient,
    Invalid,
    NotFound,
    Patience,
    ServerUnreachable,
    SyncGatewayClient,
    TestRun,
    Unauthorized,
    WaitTimedOut,
)
from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client, new_client
from tests.stack.services import Gateway
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
async def asynchronous(client: Client, gateway: Gateway) -> AsyncIterator[GatewayClient]:
    async with GatewayClient(gateway.url, client.key) as made:
        yield made


@pytest.fixture
def synchronous(client: Client, gateway: Gateway) -> Iterator[SyncGatewayClient]:
    with SyncGatewayClient(gateway.url, client.key) as made:
        yield made


def asking(app: Application, *questions: str) -> dict[str, dict[str, Any]]:
    """The definitions of a run that asks these questions and expects `yes`."""
    return {
        "endpoint": {"name": "app", "url": app.url, "request": {"input": "{{ input }}"}},
        "test_set": {"name": "questions", "tests": [{"input": question} for question in questions]},
        "configuration": {"name": "it", "metrics": [{"type": "equals", "value": "yes"}]},
    }


def define(client: SyncGatewayClient, app: Application, *questions: str, **options: Any) -> str:
    parts = asking(app, *questions)
    endpoint, test_set = client.create_endpoint(**parts["endpoint"]), client.create_test_set(**parts["test_set"])
    fields = {**parts["configuration"], "endpoint_id": endpoint.id, "test_set_id": test_set.id, **options}
    return client.create_test_configuration(**fields).id


async def test_a_run_from_its_definitions_to_its_results(asynchronous: GatewayClient, app: Application) -> None:
    client, parts = asynchronous, asking(app, "say yes", "say no", "say yes", "fail")
    endpoint = await client.create_endpoint(**parts["endpoint"])
    test_set = await client.create_test_set(**parts["test_set"])
    configuration = await client.create_test_configuration(
        **parts["configuration"], endpoint_id=endpoint.id, test_set_id=test_set.id
    )
    submitted = await client.execute(configuration.id, repeats=2)
    events = [event async for event in client.follow(submitted)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert (events[0].type, events[-1].type) == ("test_run.queued", "test_run.partial")
    run = await client.get(submitted)
    assert isinstance(run, TestRun)
    assert (run.status, run.is_final, run.is_good, run.total, run.passed, run.failed, run.errored) == (
        *("partial", True, False),
        *(8, 4, 2, 2),
    )
    results = [result async for result in client.list_results(run, page_size=3)]
    assert [(result.position, result.repeat) for result in results] == [(p, r) for p in range(4) for r in (1, 2)]
    wrong = [result.position async for result in client.list_results(run, ["fail", "error"])]
    assert wrong == [1, 1, 3, 3]
    last = client.list_results(run, test_ids=[results[-1].test_id], page_size=1)
    assert [(result.position, result.repeat) async for result in last] == [(3, 1), (3, 2)]
    again = await client.wait(await client.retry(run, ["error"]))
    assert (again.total, again.errored) == (2, 2)
    judged = await client.wait(await client.rescore(run, [{"type": "contains", "value": "no"}]))
    assert judged.passed == 2
    assert [run.id async for run in client.list_test_runs(page_size=1)] == [judged.id, again.id, run.id]
    partial = client.list_test_runs(test_configuration_id=configuration.id, status="partial")
    assert [run.id async for run in partial] == [judged.id, run.id]


def test_tasks_of_the_synchronous_client(synchronous: SyncGatewayClient) -> None:
    submitted = synchronous.submit_task("echo", ["hello"])
    task = synchronous.wait(submitted)
    assert (task.status, task.is_good, task.name) == ("SUCCESS", True, "echo")
    assert "hello" in task.result
    assert [event.type for event in synchronous.follow(task)] == ["task.pending", "task.started", "task.succeeded"]
    (snapshot,) = synchronous.follow(task, after=None)
    assert (snapshot.type, snapshot.data["status"]) == ("snapshot", "SUCCESS")
    assert list(synchronous.follow(task, after=str(task.seq))) == [], "who has everything gets nothing more"
    (gap,) = synchronous.follow(task, after="999")
    assert (gap.type, gap.follows_gap, gap.cursor) == ("snapshot", True, str(task.seq)), "there is no such cursor"
    assert [one.task_id for one in synchronous.list_tasks(status="SUCCESS")] == [submitted.task_id]
    assert synchronous.get_task(submitted.task_id) == task
    told = [event for event in synchronous.list_events(page_size=2) if event.subject == submitted.task_id]
    assert [event.seq for event in told] == [1, 2, 3]


def test_a_request_that_comes_twice_with_a_key_happens_once(synchronous: SyncGatewayClient) -> None:
    submitted = [synchronous.submit_task("echo", ["x"], idempotency_key="once").task_id for _ in range(2)]
    assert submitted[0] == submitted[1]
    with pytest.raises(Invalid) as raised:
        synchronous.submit_task("echo", ["y"], idempotency_key="once")
    assert raised.value.code == "idempotency_key_reused"


def test_a_request_whose_answer_was_lost_is_sent_again_and_happens_once(
    client: Client, gateway: Gateway, synchronous: SyncGatewayClient
) -> None:
    with losing_answers(gateway.url) as (url, left), SyncGatewayClient(url, client.key) as unlucky:
        assert list(unlucky.list_tasks()) == []
        left[:] = [None, None]
        submitted = unlucky.submit_task("echo", ["x"])
        assert left == [], "two answers were lost"
    assert [task.task_id for task in synchronous.list_tasks()] == [submitted.task_id]


@contextmanager
def losing_answers(target: str) -> Iterator[tuple[str, list[None]]]:
    """A way to the gateway on which as many answers get lost as are in the list."""
    left: list[None] = []

    class Way(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.pass_on()

        def do_POST(self) -> None:
            self.pass_on()

        def pass_on(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            answer = httpx.request(self.command, target + self.path, content=self.rfile.read(length), headers=headers)
            if left:
                left.pop()
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Way) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", left
        finally:
            server.shutdown()
            thread.join()


def test_a_group_is_followed_waited_for_and_cancelled(synchronous: SyncGatewayClient, app: Application) -> None:
    first = define(synchronous, app, "wait", "say yes", concurrency=1)
    test_set = next(iter(synchronous.list_test_sets()))
    endpoint = next(iter(synchronous.list_endpoints()))
    submitted = synchronous.execute_test_set(test_set.id, endpoint_ids=[endpoint.id], configuration={"concurrency": 1})
    assert app.is_waiting.wait(30)
    assert synchronous.cancel(submitted).is_final is False
    app.gate.set()
    group = synchronous.wait(submitted)
    assert group.status == "cancelled"
    assert [event.is_last for event in synchronous.follow(submitted)][-1]
    assert synchronous.get_run_group(group.id).runs[0]["status"] == "cancelled"
    assert [one.id for one in synchronous.list_run_groups()] == [group.id]
    assert first not in {run.test_configuration_id for run in synchronous.list_test_runs()}


def test_errors_are_of_their_kind(synchronous: SyncGatewayClient, gateway: Gateway, app: Application) -> None:
    with pytest.raises(NotFound, match="There is no test run"):
        synchronous.get_test_run("nothing?here")
    with pytest.raises(Invalid) as raised:
        synchronous.submit_task("not.allowed")
    assert (raised.value.code, raised.value.problem.errors[0].pointer) == ("task_not_allowed", "/name")
    run = synchronous.execute(define(synchronous, app, "wait"))
    with pytest.raises(Conflict) as refused:
        synchronous.retry(run)
    assert refused.value.code == "run_not_ended"
    app.gate.set()
    with SyncGatewayClient(gateway.url, "tsg_wrong") as stranger, pytest.raises(Unauthorized):
        next(stranger.follow(run))


def test_a_wait_has_a_time(synchronous: SyncGatewayClient, app: Application) -> None:
    run = synchronous.execute(define(synchronous, app, "wait"))
    assert app.is_waiting.wait(30)
    with pytest.raises(WaitTimedOut, match="it is running"):
        synchronous.wait(run, within=1.5)
    app.gate.set()
    assert synchronous.wait(run, within=30).is_final


def test_where_no_stream_may_be_read_a_wait_asks_instead(
    module_database: TestDatabase, gateway: Gateway, app: Application
) -> None:
    scopes = ("runs:read", "runs:write", "tasks:submit")
    with (
        new_client(module_database, gateway.url, "without streams", scopes) as caller,
        SyncGatewayClient(gateway.url, caller.key) as client,
    ):
        run = client.execute(define(client, app, "say yes"))
        assert client.wait(run).status == "completed"
        with pytest.raises(Forbidden):
            list(client.follow(run))


class Watcher(threading.Thread):
    """Follows something in a thread of its own."""

    def __init__(self, events: Iterator[Event], enough: Callable[[list[Event]], bool] = lambda _: False) -> None:
        super().__init__(daemon=True)
        self._coming, self._enough = events, enough
        self.events: list[Event] = []

    def run(self) -> None:
        for event in self._coming:
            self.events.append(event)
            if self._enough(self.events):
                break


SOME = 120


def test_a_gateway_that_is_killed_meanwhile_costs_no_event(
    synchronous: SyncGatewayClient, gateway: Gateway, app: Application, admin: psycopg.Connection
) -> None:
    """A run of many tests: the gateway is killed twice in its middle, and while it is away events are written."""
    configuration = define(synchronous, app, "wait", *["say yes"] * SOME, mode="sequential")
    run = synchronous.execute(configuration)
    threads = [Watcher(synchronous.follow(run)), Watcher(synchronous.follow_organization("earliest"), has_ended)]
    for thread in threads:
        thread.start()
    assert app.is_waiting.wait(30)
    until(lambda: all(thread.events for thread in threads))
    gateway.kill()
    app.gate.set()
    until(lambda: written(admin, run.test_run_id) > 20)
    gateway.start()
    until(lambda: len(threads[0].events) > 20)
    gateway.restart()
    for thread in threads:
        thread.join(60)
    seqs = [event.seq for event in threads[0].events]
    assert seqs == list(range(1, written(admin, run.test_run_id) + 1))
    assert threads[0].events[-1].type == "test_run.completed"
    of_all = [(event.subject, event.seq) for event in threads[1].events]
    assert len(of_all) == len(set(of_all))
    assert [seq for subject, seq in of_all if subject == run.test_run_id] == seqs


def has_ended(events: list[Event]) -> bool:
    return events[-1].type == "test_run.completed"


def written(admin: psycopg.Connection, subject: str) -> int:
    row = admin.execute("SELECT count(*) FROM task_event WHERE subject_id = %s", (subject,)).fetchone()
    assert row is not None
    return int(row[0])


async def test_the_asynchronous_client_resumes_too(
    asynchronous: GatewayClient, synchronous: SyncGatewayClient, gateway: Gateway, app: Application
) -> None:
    run = synchronous.execute(define(synchronous, app, "wait", "say yes", "say yes"))
    waiting = asyncio.create_task(asynchronous.wait(run))
    seen: list[Event] = []
    async with aclosing(asynchronous.follow(run)) as events:
        async for event in events:
            seen.append(event)
            if event.type == "test_run.started":
                await asyncio.to_thread(gateway.restart)
                app.gate.set()
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert (await waiting).passed == 2


async def test_a_gateway_that_stops_in_good_order_is_waited_for(
    asynchronous: GatewayClient, synchronous: SyncGatewayClient, gateway: Gateway, app: Application
) -> None:
    run = synchronous.execute(define(synchronous, app, "wait"))

    def stopped_and_started() -> None:
        gateway.stop()
        gateway.start()

    seen: list[Event] = []
    async for event in asynchronous.follow(run):
        seen.append(event)
        if event.type == "test_run.started":
            await asyncio.to_thread(stopped_and_started)
            app.gate.set()
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].is_last


def test_patience_with_a_gateway_that_stays_away_ends(
    client: Client, gateway: Gateway, app: Application, synchronous: SyncGatewayClient
) -> None:
    run = synchronous.execute(define(synchronous, app, "wait"))
    with SyncGatewayClient(gateway.url, client.key, patience=Patience(outage=0)) as impatient:
        events = impatient.follow(run)
        assert next(events).type == "test_run.queued"
        gateway.kill()
        try:
            with pytest.raises(ServerUnreachable, match=f"{gateway.url} "):
                list(events)
            with pytest.raises(ServerUnreachable):
                impatient.get(run)
        finally:
            gateway.start()
    app.gate.set()


def test_neither_key_nor_token_is_logged(
    synchronous: SyncGatewayClient, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    submitted = synchronous.submit_task("echo", ["x"])
    list(synchronous.follow(submitted))
    assert "/v1/tasks" in caplog.text
    assert client.key not in caplog.text + repr(submitted)
    assert submitted.stream_token is not None
    assert submitted.stream_token not in caplog.text + repr(submitted)


def test_a_proxy_is_not_asked_for_this_machine(
    gateway: Gateway, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with SyncGatewayClient(gateway.url, client.key) as made:
        assert list(made.list_tasks()) == []
