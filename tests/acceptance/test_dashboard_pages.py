"""The dashboard's other pages in Chromium: tasks, events, webhooks, and what an operator sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from gateway.auth.keys import Scope
from tests.postgres import TestDatabase
from tests.stack.client import Client, new_client
from tests.stack.dashboard import Dashboard, opened_dashboard
from tests.stack.services import Gateway, Worker
from tests.webhooks import Receiver, receiving_apart, verify

pytestmark = pytest.mark.usefixtures("worker")

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
PHONE = (390, 800)
LATER = 3600


@pytest.fixture(scope="module")
def gateway(module_database: TestDatabase) -> Iterator[Gateway]:
    """It lets tasks into queues that no worker consumes."""
    with Gateway(module_database, environment={"GATEWAY_TASK_QUEUES": "quiet,calm,forsaken"}) as running:
        yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving_apart() as running:
        yield running


@pytest.fixture
def dashboard(browser: Browser, gateway: Gateway, client: Client) -> Iterator[Dashboard]:
    with opened_dashboard(browser, gateway.url, credential=client.key) as opened:
        yield opened


@pytest.fixture
def operator(gateway: Gateway, module_database: TestDatabase) -> Iterator[Client]:
    with new_client(module_database, gateway.url, "operators", tuple(Scope)) as client:
        yield client


def waiting_task(client: Client, **submission: str) -> str:
    """A task that waits for as long as a test may take."""
    body = {"name": "echo", "args": ["later"], "countdown": LATER} | submission
    return str(client.post("/v1/tasks", body)["task_id"])


def row(dashboard: Dashboard, text: str) -> Locator:
    return dashboard.rows().filter(has_text=text)


def section(page: Page, title: str) -> Locator:
    return page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))


def until_live(dashboard: Dashboard) -> None:
    expect(dashboard.page.get_by_role("banner").get_by_text("live", exact=True)).to_be_visible()


def press_surely(within: Locator | Page, label: str) -> None:
    within.get_by_role("button", name=label, exact=True).click()
    within.get_by_role("button", name=f"Sure? {label}").click()


def test_a_list_of_tasks_is_filtered_by_its_url_and_moves_by_itself(dashboard: Dashboard, client: Client):
    done, waits = client.submit("echo", "hello"), waiting_task(client)
    client.ended(done)
    dashboard.open("/tasks")
    expect(dashboard.rows()).to_have_count(2)
    until_live(dashboard)
    dashboard.page.get_by_role("button", name="PENDING").click()
    expect(dashboard.rows()).to_have_count(1)
    assert dashboard.page.url.endswith("/#/tasks?status=PENDING")
    client.post(f"/v1/tasks/{waits}/cancel", {})
    expect(row(dashboard, waits[-8:])).to_contain_text("REVOKED")
    # What is typed stays there while the list moves.
    dashboard.page.get_by_label("Name").fill("count_slowly")
    another = waiting_task(client)
    expect(row(dashboard, another[-8:])).to_contain_text("PENDING")
    dashboard.page.get_by_label("Name").press("Enter")
    expect(dashboard.page.get_by_text("No task is like this.")).to_be_visible()
    assert dashboard.page.url.endswith("/#/tasks?status=PENDING&name=count_slowly")
    dashboard.open(f"/tasks?name=echo&status=SUCCESS&run={quote('no run')}")
    expect(dashboard.page.get_by_role("alert")).to_contain_text("test_run_id")


def test_the_next_page_of_tasks_follows_those_that_new_ones_have_moved(dashboard: Dashboard, client: Client):
    tasks = [waiting_task(client) for _ in range(51)]
    dashboard.open("/tasks")
    expect(dashboard.rows()).to_have_count(50)
    until_live(dashboard)
    newest = waiting_task(client)
    expect(dashboard.rows().first).to_contain_text(newest[-8:])
    dashboard.page.get_by_role("button", name="Show more").click()
    expect(row(dashboard, tasks[0][-8:])).to_be_visible()
    shown = dashboard.page.locator("tbody button.id").evaluate_all("all => all.map((one) => one.title)")
    assert shown == [f"Copy {task}" for task in reversed([*tasks, newest])]


def test_all_open_tasks_that_are_shown_are_cancelled_after_their_number_was_told(dashboard: Dashboard, client: Client):
    for queue in ("quiet", "quiet", "calm"):
        waiting_task(client, queue=queue)
    dashboard.open("/tasks?queue=quiet")
    expect(dashboard.rows()).to_have_count(2)
    until_live(dashboard)
    dashboard.page.get_by_role("button", name="Cancel open tasks…").click()
    expect(dashboard.page.get_by_text("2 tasks would be cancelled.")).to_be_visible()
    assert len(client.get("/v1/tasks", status="PENDING")["items"]) == 3
    dashboard.page.get_by_role("button", name="Cancel 2 tasks").click()
    expect(dashboard.page.get_by_text("2 tasks cancelled.")).to_be_visible()
    expect(row(dashboard, "REVOKED")).to_have_count(2)
    (left,) = client.get("/v1/tasks", status="PENDING")["items"]
    assert left["queue"] == "calm"


def test_a_task_is_submitted_by_a_form_and_its_hostile_result_is_shown_as_text(dashboard: Dashboard, client: Client):
    page = dashboard.page
    dashboard.open("/tasks")
    page.get_by_role("button", name="Submit a task").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").select_option("echo")
    expect(form.get_by_text("Answer with the message and with whom it was sent for.")).to_be_visible()
    expect(form.get_by_label("Named arguments")).to_have_value('{\n  "message": ""\n}')
    form.get_by_label("Named arguments").fill("{")
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_role("alert")).to_contain_text("are no JSON")
    form.get_by_label("Named arguments").fill("{}")
    form.get_by_label("Positional arguments").fill('["' + HOSTILE.replace('"', '\\"') + '"]')
    form.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/#/tasks/*")
    expect(page.locator("h1")).to_have_text("echo SUCCESS")
    expect(section(page, "Result").locator("pre")).to_contain_text(HOSTILE)
    steps = page.locator(".timeline li")
    expect(steps.locator(".status")).to_have_text(["PENDING", "STARTED", "SUCCESS"])
    expect(steps.nth(1)).to_contain_text(re.compile(r"\+\d+ ms|\+[\d.]+ s"))
    assert page.evaluate("window.owned") is None
    assert page.locator("main img").count() == 0


def test_a_task_is_followed_while_it_counts_and_cancelled(dashboard: Dashboard, client: Client):
    task = client.submit("count_slowly", 600, pause=0.1)
    dashboard.open(f"/tasks/{task}")
    progress = section(dashboard.page, "Progress")
    expect(progress).to_contain_text("of 600, counted to")
    expect(progress.get_by_role("progressbar")).to_be_visible()
    press_surely(dashboard.page, "Cancel")
    expect(dashboard.page.locator("h1")).to_have_text("count_slowly REVOKED")
    expect(dashboard.page.locator(".timeline .status").last).to_have_text("REVOKED")


def test_what_a_failed_task_said_and_one_that_is_not_there_are_told(dashboard: Dashboard, client: Client):
    failed = client.submit("tests.fail", HOSTILE)
    dashboard.open(f"/tasks/{failed}")
    expect(section(dashboard.page, "Error PermanentError").locator("pre")).to_have_text(HOSTILE)
    dashboard.open("/tasks/none")
    expect(dashboard.page.get_by_role("alert")).to_have_count(1)
    assert dashboard.page.evaluate("window.owned") is None


def test_events_arrive_as_they_happen_wait_while_the_reader_has_paused_and_open(dashboard: Dashboard, client: Client):
    page = dashboard.page
    dashboard.open("/events?types=task&status=SUCCESS")
    events = page.locator(".event").filter(has_text="task.")
    expect(page.locator(".live-line")).to_contain_text("live")
    first = client.submit("echo", HOSTILE)
    expect(events).to_have_count(1)
    expect(events.locator("code")).to_have_text("task.succeeded")
    events.locator("summary").click()
    expect(events.locator("pre")).to_contain_text(HOSTILE.replace('"', '\\"'))
    expect(events.get_by_role("link", name="Open the task")).to_have_attribute("href", f"#/tasks/{first}")
    page.get_by_role("button", name="Pause").click()
    client.submit("echo", "again")
    expect(page.get_by_text("1 more have arrived")).to_be_visible()
    expect(events).to_have_count(1)
    page.get_by_role("button", name="Go on").click()
    expect(events).to_have_count(2)
    page.get_by_label("From").select_option("earliest")
    page.get_by_label("Status").fill("STARTED")
    page.get_by_label("Status").press("Enter")
    expect(events.locator("code")).to_have_text(["task.started", "task.started"])
    assert page.url.endswith("/#/events?types=task&from=earliest&status=STARTED")
    assert page.evaluate("window.owned") is None


def test_five_hundred_events_are_kept_and_all_are_counted(
    dashboard: Dashboard, client: Client, admin: psycopg.Connection
):
    task = waiting_task(client)
    for state in ("STARTED", "RETRY") * 250:
        admin.execute("UPDATE task SET state = %s WHERE id = %s", (state, task))
    dashboard.open("/events?from=earliest")
    expect(dashboard.page.locator(".live-line")).to_contain_text("501 events, the newest 500 are shown")
    events = dashboard.page.locator(".event")
    expect(events).to_have_count(500)
    events.first.locator("summary").click()
    expect(events.first.locator("pre")).to_contain_text('"seq": 501')
    admin.execute("UPDATE task SET state = 'STARTED' WHERE id = %s", (task,))
    expect(dashboard.page.locator(".live-line")).to_contain_text("502 events")
    expect(events).to_have_count(500)
    expect(events.nth(1).locator("pre")).to_contain_text('"seq": 501')


def test_a_ticket_sees_events_and_no_way_to_what_it_may_not_read(browser: Browser, gateway: Gateway, client: Client):
    client.ended(client.submit("echo", "hello"))
    ticket = client.post("/v1/stream-tickets", {})["ticket"]
    with opened_dashboard(browser, gateway.url, credential=ticket, size=PHONE) as dashboard:
        dashboard.open("/events?from=earliest")
        events = dashboard.page.locator(".event")
        expect(events).to_have_count(3)
        events.first.locator("summary").click()
        expect(events.first.locator("pre")).to_contain_text('"status": "SUCCESS"')
        assert events.first.get_by_role("link").count() == 0
        assert fits(dashboard.page)
        dashboard.open("/tasks")
        expect(dashboard.page.get_by_role("heading", name="Nothing here")).to_be_visible()


def test_an_endpoint_is_added_tested_and_removed_and_a_delivery_sent_again(
    dashboard: Dashboard, client: Client, receiver: Receiver
):
    page = dashboard.page
    path = f"/ok/{client.organization_id}"
    dashboard.open("/webhooks")
    expect(page.get_by_text("Nobody is told.")).to_be_visible()
    page.get_by_role("button", name="Add an endpoint").click()
    form = page.get_by_role("dialog")
    form.get_by_label("URL").fill(f"{receiver.url}{path}")
    form.get_by_label("Description").fill(HOSTILE)
    form.get_by_role("button", name="Add").click()
    secret = form.locator(".secret code").inner_text()
    form.get_by_role("link", name="Go to the endpoint").click()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.get_by_text("It is told of test_run.*, run_group.*")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    page.get_by_role("link", name="test", exact=True).click()
    expect(page.locator("h1")).to_have_text("webhook_endpoint.test delivered")
    expect(dashboard.rows()).to_have_text([re.compile(r'1\s*delivered 200\s*{"ok": true}')])
    expect(section(page, "Payload").locator("pre")).to_contain_text(f'"webhook_endpoint_id": "{endpoint_id(client)}"')
    page.get_by_role("button", name="Send again").click()
    expect(dashboard.rows()).to_have_count(2)
    expect(page.locator("h1")).to_have_text("webhook_endpoint.test delivered")
    first, again = receiver.at(path)
    assert first.id == again.id
    verify(again, secret)
    page.get_by_role("link", name="endpoint", exact=True).click()
    expect(dashboard.figure("Delivered")).to_have_text("1")
    expect(dashboard.rows()).to_contain_text("webhook_endpoint.test")
    press_surely(page, "Remove")
    expect(page.get_by_text("Nobody is told.")).to_be_visible()
    assert page.evaluate("window.owned") is None


def test_an_endpoint_tells_why_it_fails_gets_another_secret_and_is_disabled_and_enabled(
    dashboard: Dashboard, client: Client, receiver: Receiver
):
    page = dashboard.page
    receiver.answers.setdefault("refuse", receiver.answers["fail"])
    body = {"url": f"{receiver.url}/refuse/{client.organization_id}", "event_types": ["task.*"]}
    endpoint = client.post("/v1/webhook-endpoints", body)
    client.submit("echo", "hello")
    dashboard.open("/webhooks")
    row(dashboard, "task.*").get_by_role("link").click()
    expect(page.get_by_text("Nothing has been delivered since")).to_be_visible()
    expect(dashboard.rows()).to_contain_text("500 the receiver answered HTTP 500")
    page.get_by_role("link", name="task.succeeded").click()
    expect(dashboard.rows().first).to_contain_text("out of order")
    dashboard.open(f"/webhooks/{endpoint['id']}")
    press_surely(page, "Rotate the secret")
    expect(page.locator(".secret code")).to_contain_text("whsec_")
    assert page.locator(".secret code").inner_text() != endpoint["secret"]
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("somebody asked for it")).to_be_visible()
    expect(dashboard.rows()).to_contain_text("skipped")
    recover = page.get_by_label("Send again what was not delivered")
    recover.select_option("of the last hour")
    expect(page.get_by_role("alert")).to_contain_text("disabled")
    page.get_by_role("button", name="Enable").click()
    expect(page.locator(".status.good").first).to_have_text("enabled")
    recover.select_option("of the last hour")
    expect(page.get_by_text("Sends again 1 delivery.")).to_be_visible()


def endpoint_id(client: Client) -> str:
    return str(client.get("/v1/webhook-endpoints")["items"][0]["id"])


def fits(page: Page) -> bool:
    """Whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth === document.documentElement.clientWidth"))


def test_an_operator_sees_workers_and_queues_terminates_a_task_and_purges_a_queue(
    browser: Browser, gateway: Gateway, operator: Client, client: Client, worker: Worker
):
    waits = waiting_task(client, queue="forsaken")
    runs = client.submit("count_slowly", 60)
    with opened_dashboard(browser, gateway.url, credential=operator.key) as dashboard:
        page = dashboard.page
        page.get_by_role("link", name="Admin").click()
        expect(section(page, "Workers").get_by_role("row").filter(has_text=worker.name)).to_contain_text("alive")
        expect(section(page, "Organizations")).to_contain_text("operators")
        expect(section(page, "Sweeper")).to_contain_text("settle runs")
        active = section(page, "Executed now").get_by_role("row").filter(has_text=runs[-8:])
        assert active.get_by_role("link").count() == 0
        press_surely(active, "Terminate")
        assert client.ended(runs)["status"] == "REVOKED"
        expect(active).to_have_count(0)
        queue = section(page, "Queues").get_by_role("row").filter(has_text="forsaken")
        expect(queue.locator("[data-label=delayed]")).to_have_text("1")
        queue.get_by_role("button", name="Purge…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Purge", exact=True)).to_be_disabled()
        dialog.get_by_label("Type the queue's name").fill("forsaken")
        dialog.get_by_role("button", name="Purge", exact=True).click()
        expect(dialog).to_contain_text("Removed 1 message.")
        assert client.task(waits)["status"] == "REVOKED"


def test_a_page_that_refreshes_itself_sleeps_while_nobody_sees_it(browser: Browser, gateway: Gateway, operator: Client):
    with opened_dashboard(browser, gateway.url, credential=operator.key, size=PHONE) as dashboard:
        page = dashboard.page
        asked: list[str] = []
        page.clock.install()
        dashboard.open("/admin")
        expect(section(page, "Sweeper").locator("tbody tr").first).to_be_visible()
        assert fits(page)
        page.on("request", lambda request: asked.append(request.url) if "/v1/admin/" in request.url else None)
        page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.clock.run_for(60_000)
        assert asked == []
        page.evaluate("delete document.hidden")
        with page.expect_request("**/v1/admin/workers*"):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_who_lacks_a_scope_is_shown_no_way_there_and_told_why_it_is_closed(
    browser: Browser, gateway: Gateway, module_database: TestDatabase
):
    scopes = [Scope.RUNS_READ, Scope.EVENTS_READ]
    with (
        new_client(module_database, gateway.url, "organization that looks", scopes) as client,
        opened_dashboard(browser, gateway.url, credential=client.key) as dashboard,
    ):
        sections = dashboard.page.get_by_role("navigation").get_by_role("link")
        expect(sections).to_have_text(["Runs", "Groups", "Tasks", "Events"])
        for path, scope in (("/webhooks", "webhooks:manage"), ("/admin", "admin")):
            dashboard.open(path)
            expect(dashboard.page.get_by_role("alert").first).to_contain_text(f'"{scope}"')
        dashboard.open("/tasks")
        expect(dashboard.page.get_by_text("No task is here.")).to_be_visible()
        assert dashboard.page.get_by_role("main").get_by_role("button", name="Submit a task").count() == 0
