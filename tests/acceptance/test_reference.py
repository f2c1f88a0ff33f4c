"""The page at `/docs` in Chromium: it shows every operation and tries one, under its strict policy and offline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.contract import contract
from tests.postgres import TestDatabase
from tests.stack.browser import PATIENCE_MS
from tests.stack.client import Client, new_client
from tests.stack.services import Gateway


@pytest.fixture
def client(gateway: Gateway, module_database: TestDatabase) -> Iterator[Client]:
    with new_client(module_database, gateway.url, "reader of the reference") as opened:
        yield opened


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, gateway: Gateway) -> Iterator[Page]:
    """The page, which fails the test if it asks anybody else, breaks its policy or throws."""
    troubles: list[str] = []
    with browser.new_context(color_scheme=request.param, viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: _note_foreign(asked.url, gateway.url, troubles))
        page.goto(f"{gateway.url}/docs")
        yield page
    assert troubles == []


def _note_foreign(url: str, own: str, troubles: list[str]) -> None:
    if not url.startswith((own, "data:")):
        troubles.append(f"it asked {url}")


def test_it_shows_every_operation_and_tries_one_with_a_key(page: Page, client: Client) -> None:
    operations = page.locator(".opblock")
    webhooks = [operation for item in contract().document["webhooks"].values() for operation in item.values()]
    listed = [tag for operation in (*contract().operations().values(), *webhooks) for tag in operation["tags"]]
    expect(operations).to_have_count(len(listed))
    page.get_by_role("button", name="Authorize").first.click()
    scheme = page.locator(".auth-container").filter(has_text="apiKey").first
    scheme.locator("input").fill(client.key)
    scheme.get_by_role("button", name="Apply credentials").click()
    page.locator(".btn-done").first.click()
    operation = page.locator("#operations-tasks-listTasks")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text('"next_cursor": null')


def test_it_is_dressed_as_the_reader_prefers(page: Page) -> None:
    expect(page.locator(".opblock").first).to_be_visible()
    prefers_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    (red, green, blue) = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3).map(Number)"
    )
    text = page.evaluate("getComputedStyle(document.querySelector('.info .title')).color.match(/[0-9]+/g).map(Number)")
    assert (sum(text[:3]) > 3 * 128) is prefers_dark
    assert not prefers_dark or red + green + blue < 3 * 64
