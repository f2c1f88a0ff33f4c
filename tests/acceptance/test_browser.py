"""A page in Chromium, with the JavaScript of docs/streams.md: it misses nothing and is told nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page

from tests.postgres import TestDatabase
from tests.stack.browser import example, open_page
from tests.stack.client import Client
from tests.stack.process import ROOT
from tests.stack.proxy import Nginx
from tests.stack.services import Gateway
from tests.waiting import until

STREAMS = ROOT / "docs" / "streams.md"


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    with Gateway(module_database, environment={"GATEWAY_STREAM__RETRY": "0.2"}) as running:
        yield running


@pytest.fixture(params=["gateway", "nginx"])
def origin(request: pytest.FixtureRequest, gateway: Gateway, reachable_folder: Path) -> Iterator[str]:
    """Where the page and its streams come from: the gateway, or nginx with TLS and HTTP/2 before it."""
    if request.param == "gateway":
        yield gateway.url
        return
    with Nginx(reachable_folder, [gateway.port]) as proxy:
        yield proxy.tls_url


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    with opened(browser, origin) as page:
        yield page


@contextmanager
def opened(browser: Browser, origin: str) -> Iterator[Page]:
    # The page stands in the place of an answer that is none, whose Content-Security-Policy lets nothing run.
    with browser.new_context(ignore_https_errors=True, bypass_csp=True) as context:
        yield open_page(context, origin)


def submitted(client: Client) -> dict[str, Any]:
    return dict(client.post("/v1/tasks", {"name": "echo", "args": ["x"]}))


def become(admin: psycopg.Connection, task_id: str, *states: str) -> None:
    for state in states:
        admin.execute("UPDATE task SET state = %s WHERE id = %s", (state, task_id))


def run_example(page: Page, saying: str) -> None:
    page.add_script_tag(content=example(STREAMS, saying))


def until_shown(page: Page, count: int) -> list[dict[str, Any]]:
    """What the page was told, as soon as it was told so much."""
    page.wait_for_function("count => shown.length >= count", arg=count)
    return list(page.evaluate("shown"))


def seqs(shown: list[dict[str, Any]], task: dict[str, Any]) -> list[int]:
    return [event["seq"] for event in shown if event["subject"] == task["task_id"] and event["type"] != "snapshot"]


def test_an_event_source_follows_a_task_over_a_gateway_that_is_killed_and_stops_at_its_end(
    page: Page, client: Client, gateway: Gateway, admin: psycopg.Connection
):
    task = submitted(client)
    page.evaluate("({links, stream_token}) => Object.assign(window, {links, stream_token})", task)
    run_example(page, "new EventSource(`${gateway}${links.events}")
    become(admin, task["task_id"], "STARTED")
    until_shown(page, 2)
    gateway.kill()
    page.wait_for_function("events.readyState === EventSource.CONNECTING")
    become(admin, task["task_id"], "RETRY", "STARTED")
    gateway.start()
    until_shown(page, 4)
    become(admin, task["task_id"], "RETRY", "SUCCESS")
    page.wait_for_function("events.readyState === EventSource.CLOSED")
    assert seqs(page.evaluate("shown"), task) == [1, 2, 3, 4, 5, 6]


def test_a_page_with_a_ticket_watches_the_organization_and_gets_a_new_one_when_it_is_refused(
    page: Page, client: Client, gateway: Gateway, admin: psycopg.Connection
):
    tickets: list[str] = []

    def new_ticket() -> str:
        tickets.append(client.post("/v1/stream-tickets", {"ttl_seconds": 60 if tickets else 1})["ticket"])
        return tickets[-1]

    page.expose_function("newTicket", new_ticket)
    run_example(page, "function watch(cursor)")
    page.evaluate("watch()")
    until_shown(page, 1)
    task = submitted(client)
    become(admin, task["task_id"], "STARTED")
    until_shown(page, 3)
    until(lambda: client.http.get("/v1/events", headers={"Authorization": f"Bearer {tickets[0]}"}).status_code == 401)
    gateway.kill()
    become(admin, task["task_id"], "RETRY")
    gateway.start()
    become(admin, task["task_id"], "SUCCESS")
    shown = until_shown(page, 5)
    assert len(tickets) == 2
    assert [event["type"] for event in shown].count("snapshot") == 1
    assert seqs(shown, task) == [1, 2, 3, 4]


def test_a_websocket_follows_several_streams_over_a_gateway_that_is_killed(
    page: Page, client: Client, gateway: Gateway, admin: psycopg.Connection
):
    task, other, last = (submitted(client) for _ in range(3))
    page.expose_function("newTicket", lambda: client.post("/v1/stream-tickets", {})["ticket"])
    page.evaluate("links => Object.assign(window, {links})", task["links"])
    run_example(page, "function follow(...paths)")
    until_shown(page, 2)
    become(admin, task["task_id"], "STARTED")
    until_shown(page, 3)
    gateway.kill()
    become(admin, task["task_id"], "RETRY")
    become(admin, other["task_id"], "FAILURE")
    gateway.start()
    until_shown(page, 5)
    become(admin, task["task_id"], "FAILURE")
    until_shown(page, 7)
    become(admin, last["task_id"], "FAILURE")
    shown = until_shown(page, 8)
    # The end of the task is told by its own stream, and by the organization's for whatever fails.
    assert Counter(seqs(shown, task)) == {2: 1, 3: 1, 4: 2}
    assert [seqs(shown, one) for one in (other, last)] == [[2], [2]]
    assert len(shown) == 8
    assert page.evaluate("reports") == []


def test_a_websocket_with_the_token_of_a_task_is_closed_when_the_task_has_ended(
    page: Page, client: Client, admin: psycopg.Connection
):
    task, another = submitted(client), submitted(client)
    page.expose_function("newTicket", lambda: task["stream_token"])
    page.evaluate("links => Object.assign(window, {links})", task["links"])
    page.add_script_tag(content=example(STREAMS, "function follow(...paths)").partition("\nfollow(")[0])
    with page.expect_websocket() as opened:
        page.evaluate("paths => follow(...paths)", [task["links"]["events"], another["links"]["events"]])
    page.wait_for_function("shown.length === 1 && reports.length === 1")
    with opened.value.expect_event("close"):
        become(admin, task["task_id"], "STARTED", "SUCCESS")
    assert seqs(page.evaluate("shown"), task) == [2, 3]
    assert page.evaluate("reports[0].code") == "not_found"


def test_over_http_2_a_page_has_more_streams_than_a_browser_has_connections(
    browser: Browser, gateway: Gateway, client: Client, admin: psycopg.Connection, reachable_folder: Path
):
    tasks = [submitted(client) for _ in range(10)]
    urls = [f"{task['links']['events']}?token={task['stream_token']}" for task in tasks]
    with Nginx(reachable_folder, [gateway.port]) as proxy, opened(browser, proxy.tls_url) as page:
        page.evaluate(
            """urls => urls.forEach((url) => {
                new EventSource(url).onmessage = ({data}) => show(JSON.parse(data));
            })""",
            urls,
        )
        until_shown(page, 10)
        for task in tasks:
            become(admin, task["task_id"], "STARTED")
        shown = until_shown(page, 20)
    assert [seqs(shown, task) for task in tasks] == [[2]] * 10


def test_an_event_source_gives_up_for_good_at_an_answer_that_is_no_stream(page: Page, client: Client):
    task = submitted(client)
    page.evaluate("url => { window.events = new EventSource(url); }", f"{task['links']['events']}?token=tst_wrong")
    page.wait_for_function("events.readyState === EventSource.CLOSED")
