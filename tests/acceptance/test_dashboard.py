"""The dashboard's runs in Chromium: followed over a gateway that is killed, compared, cancelled, and never trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from gateway.auth.keys import Scope
from tests.acceptance.gsm8k import configure, passed_among
from tests.acceptance.run_groups import ask, compare_models
from tests.postgres import TestDatabase
from tests.stack.application import Application
from tests.stack.client import Client, new_client
from tests.stack.dashboard import Dashboard, opened_dashboard
from tests.stack.services import Gateway, RecordedEndpoint
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("worker")

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
PHONE = (390, 800)
SHADES = r"""(canvas) => {
    const rgb = (colour) => colour.match(/\d+/g).slice(0, 3).join();
    const shade = (name) => {
        canvas.style.color = `var(${name})`;
        const found = rgb(getComputedStyle(canvas).color);
        canvas.style.color = "";
        return found;
    };
    const names = {pending: "--cell", passed: "--good", failed: "--bad", errored: "--odd"};
    const known = new Map(Object.entries(names).map(([name, property]) => [shade(property), name]));
    const {width, height, dataset} = canvas;
    const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
    const size = Number(dataset.cell);
    const counts = {pending: 0, passed: 0, failed: 0, errored: 0};
    for (let y = 1; y < height; y += size) {
        for (let x = 1; x + size <= width + 1; x += size) {
            const at = 4 * (y * width + x);
            const name = known.get(data.slice(at, at + 3).join());
            if (name && data[at + 3] === 255) counts[name] += 1;
        }
    }
    return counts;
}"""


@pytest.fixture(scope="module")
def slow(shared: Path) -> Iterator[RecordedEndpoint]:
    """Answers after a while, and one question in forty never well."""
    with RecordedEndpoint(shared, "--latency-ms", "150", "--jitter-ms", "150", "--error-every", "40") as running:
        yield running


@pytest.fixture
def dashboard(browser: Browser, gateway: Gateway, client: Client) -> Iterator[Dashboard]:
    with opened_dashboard(browser, gateway.url, credential=client.key) as opened:
        yield opened


def asked(client: Client, app: Application, *inputs: str, expected: str) -> str:
    """A run that asks the application each of these once, and wants the same answer to all of them."""
    configuration = client.configure(
        endpoint={"url": app.url, "request": {"input": "{{ input }}"}, "max_attempts": 1},
        tests=[{"input": text, "expected": expected} for text in inputs],
        metrics=[{"type": "equals"}],
    )
    return client.execute(configuration)


def until_ended(dashboard: Dashboard) -> None:
    expect(dashboard.page.get_by_role("button", name="Run again")).to_be_visible(timeout=90_000)


def figures(dashboard: Dashboard) -> dict[str, int]:
    names = {"total": "Tests", "passed": "Passed", "failed": "Failed", "errored": "Errors", "pending": "Pending"}
    return {key: int(dashboard.figure(name).inner_text().replace(",", "")) for key, name in names.items()}


def shades(grid: Locator) -> dict[str, int]:
    """How many cells of the field have the colour of each status."""
    return dict(grid.evaluate(SHADES))


def test_a_run_of_a_thousand_tests_is_followed_over_a_gateway_that_is_killed(
    dashboard: Dashboard, client: Client, gateway: Gateway, shared: Path, slow: RecordedEndpoint
):
    run_id = client.execute(configure(client, shared, slow.url, total=1000))
    dashboard.open(f"/runs/{run_id}")
    dashboard.page.evaluate("window.sameDocument = true")
    expect(dashboard.figure("Passed")).not_to_have_text("0")
    gateway.kill()
    expect(dashboard.page.get_by_text("connection lost, coming back…")).to_be_visible()
    gateway.start()
    until_ended(dashboard)
    run = client.run(run_id)
    assert run["total"] == 1000
    assert run["errored"] == 25
    assert figures(dashboard) == {name: run[name] for name in ("total", "passed", "failed", "errored", "pending")}
    found = shades(dashboard.page.locator(".grid canvas"))
    assert found == {name: run[name] for name in ("passed", "failed", "errored", "pending")}
    assert dashboard.page.evaluate("window.sameDocument")


def test_the_list_of_runs_moves_by_itself_and_leads_to_the_run(dashboard: Dashboard, client: Client, app: Application):
    expect(dashboard.page.get_by_text("No run is here")).to_be_visible()
    run_id = asked(client, app, "say a", "say b", "fail", "wait", expected="a")
    row = dashboard.rows().first
    expect(row.get_by_role("img")).to_have_accessible_name("3 of 4 tests: 1 passed, 1 failed, 1 errored")
    expect(row).to_contain_text("running")
    app.gate.set()
    expect(row).to_contain_text("partial")
    row.get_by_role("link", name="configuration").click()
    expect(dashboard.page).to_have_url(f"{dashboard.origin}/#/runs/{run_id}")
    until_ended(dashboard)
    assert figures(dashboard) == {"total": 4, "passed": 1, "failed": 2, "errored": 1, "pending": 0}


def test_what_applications_answer_is_shown_as_text_and_nothing_else(
    dashboard: Dashboard, client: Client, app: Application
):
    configuration = client.configure(
        endpoint={"url": app.url, "request": {"input": "{{ input }}"}, "name": HOSTILE},
        tests=[{"input": f"say {HOSTILE}", "expected": f"no {HOSTILE}", "tags": [HOSTILE[:40]]}],
        metrics=[{"type": "equals", "name": HOSTILE}],
        name=HOSTILE,
    )
    run_id = client.execute(configuration)
    client.settled(run_id)
    dashboard.open("/runs")
    expect(dashboard.rows().first).to_contain_text(HOSTILE)
    dashboard.open(f"/runs/{run_id}")
    dashboard.page.locator(".result summary").first.click()
    texts = dashboard.page.locator(".result pre")
    expect(texts).to_have_text([f"say {HOSTILE}", HOSTILE, f"no {HOSTILE}"])
    expect(dashboard.page.locator(".result-body table")).to_contain_text(HOSTILE)
    expect(dashboard.page.locator("h1")).to_contain_text(HOSTILE)
    assert dashboard.page.evaluate("window.owned") is None
    assert dashboard.page.locator("main img").count() == 0


def test_a_run_is_cancelled_after_asking_twice_and_run_again(dashboard: Dashboard, client: Client, app: Application):
    group = ask(client, app.url, questions=("say a", "wait"))
    first = group["runs"][0]["test_run_id"]
    dashboard.open(f"/runs/{first}")
    assert app.is_waiting.wait(30)
    dashboard.page.get_by_role("button", name="Cancel").click()
    assert client.run(first)["cancel_requested_at"] is None
    dashboard.page.get_by_role("button", name="Sure? Cancel").click()
    until_ended(dashboard)
    expect(dashboard.page.locator("h1 .status")).to_have_text("cancelled")
    app.gate.set()
    dashboard.page.get_by_role("button", name="Run again").click()
    expect(dashboard.page).not_to_have_url(f"{dashboard.origin}/#/runs/{first}")
    until_ended(dashboard)
    expect(dashboard.page.get_by_role("link", name="another run")).to_have_attribute("href", f"#/runs/{first}")


def test_the_field_of_tests_is_walked_and_opened_by_keys(dashboard: Dashboard, client: Client, app: Application):
    run_id = asked(client, app, "say a", "say b", "say c", expected="b")
    client.settled(run_id)
    dashboard.open(f"/runs/{run_id}")
    until_ended(dashboard)
    field = dashboard.page.locator(".grid canvas")
    field.press("ArrowRight")
    field.press("ArrowRight")
    expect(dashboard.page.locator(".pointed")).to_have_text("Test 2: pass")
    field.press("Enter")
    dialog = dashboard.page.get_by_role("dialog")
    expect(dialog.locator("pre")).to_have_text(["say b", "b", "b"])
    dashboard.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_two_runs_are_compared_and_groups_stand_side_by_side(
    dashboard: Dashboard, client: Client, shared: Path, recorded: RecordedEndpoint
):
    group = compare_models(client, shared, recorded.url, total=60)
    dashboard.open("/groups")
    dashboard.rows().first.get_by_role("link").click()
    expect(dashboard.page.get_by_role("heading", name="Differences")).to_be_visible()
    passed = {model: passed_among(shared, 60, model) for model in ("175b_finetuning", "6b_finetuning")}
    expect(dashboard.rows()).to_have_count(2)
    settled = client.settled_group(group["run_group_id"])
    assert [run["passed"] for run in settled["runs"]] == list(passed.values())
    differing = dashboard.page.locator(".results > .result")
    expect(dashboard.page.get_by_text(f"{settled['comparison']['differing']} of 60 tests")).to_be_visible()
    differing.first.locator("summary").click()
    expect(differing.first.locator(".sides section")).to_have_count(2)
    dashboard.rows().nth(1).get_by_role("link", name="compare").click()
    expect(dashboard.page.get_by_role("heading", name="Comparison")).to_be_visible()
    changes = settled["comparison"]["runs"][1]["changes"]
    expect(dashboard.figure("Newly failing")).to_have_text(str(changes["newly_failing"]))
    expect(dashboard.figure("Newly passing")).to_have_text(str(changes["newly_passing"]))


def test_a_ticket_watches_runs_and_does_nothing_else(
    browser: Browser, gateway: Gateway, client: Client, shared: Path, recorded: RecordedEndpoint
):
    run_id = client.execute(configure(client, shared, recorded.url, total=40))
    run = client.settled(run_id)
    ticket = client.post("/v1/stream-tickets", {})["ticket"]
    with opened_dashboard(browser, gateway.url, credential=ticket) as dashboard:
        expect(dashboard.page.get_by_role("navigation").get_by_role("link")).to_have_text(["Runs", "Events"])
        dashboard.rows().first.get_by_role("link", name="run").click()
        expect(dashboard.figure("Tests")).to_have_text("40")
        expect(dashboard.figure("Pending")).to_have_text("0")
        assert figures(dashboard) == {n: run[n] for n in ("total", "passed", "failed", "errored", "pending")}
        assert shades(dashboard.page.locator(".grid canvas"))["passed"] == run["passed"]
        assert dashboard.page.locator("main button", has_text="Run again").count() == 0


def test_who_shows_a_wrong_key_is_told_so_and_a_revoked_one_ends_the_session(
    browser: Browser, gateway: Gateway, module_database: TestDatabase
):
    with (
        new_client(
            module_database, gateway.url, "organization to leave", ["runs:read", "events:read", "keys:manage"]
        ) as client,
        opened_dashboard(browser, gateway.url) as dashboard,
    ):
        dashboard.page.goto(dashboard.origin)
        dashboard.page.get_by_label("API key or ticket").fill("tsg_wrong")
        dashboard.page.get_by_role("button", name="Sign in").click()
        expect(dashboard.page.get_by_role("alert")).to_contain_text("unknown, expired or revoked")
        dashboard.sign_in(client.key)
        expect(dashboard.page.get_by_text("organization to leave")).to_be_visible()
        key_id = client.get("/v1/api-keys")["items"][0]["id"]
        assert client.http.delete(f"/v1/api-keys/{key_id}").status_code == 204
        expect(dashboard.page.get_by_text("You have been signed out")).to_be_visible()
        assert dashboard.page.evaluate("sessionStorage.length") == 0


@pytest.fixture
def operator(gateway: Gateway, module_database: TestDatabase) -> Iterator[Client]:
    """Who may do everything."""
    with new_client(module_database, gateway.url, f"operator {uuid4()}", [*Scope]) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_by_everybody(
    browser: Browser, operator: Client, shared: Path, recorded: RecordedEndpoint, scheme: Literal["light", "dark"]
):
    pages = filled_pages(operator, shared, recorded)
    with opened_dashboard(browser, operator.url, scheme=scheme) as dashboard:
        dashboard.page.goto(dashboard.origin)
        dashboard.page.get_by_role("button", name="Sign in").wait_for()
        found = {"signing in": obstacles(dashboard)}
        dashboard.sign_in(operator.key)
        for path, shown in pages.items():
            dashboard.open(path)
            dashboard.page.locator(shown).first.wait_for()
            found[path] = obstacles(dashboard)
    assert {path: kinds for path, kinds in found.items() if kinds} == {}


def filled_pages(client: Client, shared: Path, recorded: RecordedEndpoint) -> dict[str, str]:
    """The path of each page and what it shows once it is read, when the organization has some of everything."""
    group = compare_models(client, shared, recorded.url, total=5)
    first, second = (run["test_run_id"] for run in client.settled_group(group["run_group_id"])["runs"])
    task_id = client.submit("echo", "a")
    endpoint = client.post("/v1/webhook-endpoints", {"url": recorded.echo_url})["id"]
    client.post(f"/v1/webhook-endpoints/{endpoint}/test", {})
    delivery = client.get("/v1/webhook-deliveries")["items"][0]["id"]
    return {
        "/runs": "table.rows a",
        f"/runs/{first}": ".result",
        f"/runs/{second}/compare/{first}": "table.rows a",
        "/groups": "table.rows a",
        f"/groups/{group['run_group_id']}": "table.rows a",
        "/tasks": "table.rows a",
        f"/tasks/{task_id}": "h2",
        "/events?from=earliest": "main details",
        "/webhooks": "table.rows a",
        f"/webhooks/{endpoint}": "table.rows a",
        f"/deliveries/{delivery}": "h2",
        "/admin": "table.rows",
    }


def obstacles(dashboard: Dashboard) -> list[str]:
    """What axe finds that keeps somebody from using the page as it is now, with an element of each kind."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = Axe().run(dashboard.page, options=rules).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]


def test_who_reloads_the_page_is_still_signed_in_and_another_tab_is_not(dashboard: Dashboard, client: Client):
    dashboard.page.reload()
    expect(dashboard.page.get_by_role("button", name="Sign out")).to_be_visible()
    stored: dict[str, Any] = dashboard.page.evaluate("({...localStorage})")
    assert client.key not in str(stored)
    dashboard.page.get_by_role("button", name="Sign out").click()
    expect(dashboard.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_key_that_may_not_watch_sees_a_run_as_it_stands(
    browser: Browser, gateway: Gateway, module_database: TestDatabase, app: Application
):
    scopes = ["runs:read", "runs:write"]
    with new_client(module_database, gateway.url, "organization that reads", scopes) as client:
        run_id = asked(client, app, "say a", "say b", expected="a")
        until(lambda: client.run(run_id)["finished_at"])
        with opened_dashboard(browser, gateway.url, credential=client.key) as dashboard:
            dashboard.open(f"/runs/{run_id}")
            expect(dashboard.page.get_by_role("alert")).to_contain_text("events:read")
            expect(dashboard.page.locator(".key.pass")).to_be_visible()
            assert figures(dashboard) == {"total": 2, "passed": 1, "failed": 1, "errored": 0, "pending": 0}
            until(lambda: shades(dashboard.page.locator(".grid canvas"))["passed"] == 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_dressed_as_the_reader_chooses(browser: Browser, gateway: Gateway, client: Client, scheme: Any):
    with opened_dashboard(browser, gateway.url, credential=client.key, scheme=scheme, size=PHONE) as dashboard:
        ground = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) < 128"
        assert dashboard.page.evaluate(ground) is (scheme == "dark")
        button = dashboard.page.get_by_role("button", name="Colours")
        button.click()
        assert dashboard.page.evaluate(ground) is False
        button.click()
        assert dashboard.page.evaluate(ground) is True
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert dashboard.page.evaluate(overflow) == 0
