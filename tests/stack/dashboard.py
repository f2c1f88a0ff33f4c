"""The dashboard in a browser, which fails a test if it throws, breaks its policy or asks anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

from tests.stack.browser import PATIENCE_MS

#: What a browser says by itself of requests that fail while a gateway is away or refuses.
_OF_REQUESTS = "Failed to load resource"


@dataclass
class Dashboard:
    """A page, and what went wrong in it."""

    page: Page
    origin: str
    troubles: list[str] = field(default_factory=list)

    def sign_in(self, credential: str) -> None:
        self.page.goto(f"{self.origin}/")
        self.page.get_by_label("API key or ticket").fill(credential)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def open(self, path: str) -> None:
        """A page of it, by its path behind the `#`."""
        self.page.goto(f"{self.origin}/#{path}")
        self.page.locator("h1").first.wait_for()

    def figure(self, name: str) -> Locator:
        """The value of a figure with this name."""
        return self.page.locator(".figure").filter(has=self.page.get_by_text(name, exact=True)).locator("dd")

    def rows(self) -> Locator:
        return self.page.locator("table.rows tbody tr")

    def note(self, said: ConsoleMessage) -> None:
        if said.type == "error" and _OF_REQUESTS not in said.text:
            self.troubles.append(said.text)

    def note_foreign(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.troubles.append(f"it asked {url}")


@contextmanager
def opened_dashboard(
    browser: Browser,
    origin: str,
    *,
    credential: str | None = None,
    size: tuple[int, int] = (1280, 900),
    scheme: Literal["light", "dark"] = "light",
    **context: Any,
) -> Iterator[Dashboard]:
    """A dashboard, with somebody signed in if there is a credential."""
    width, height = size
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, **context) as opened:
        page = opened.new_page()
        page.set_default_timeout(PATIENCE_MS)
        dashboard = Dashboard(page, origin)
        page.on("console", dashboard.note)
        page.on("pageerror", lambda error: dashboard.troubles.append(str(error)))
        page.on("request", lambda asked: dashboard.note_foreign(asked.url))
        if credential is not None:
            dashboard.sign_in(credential)
        yield dashboard
    assert dashboard.troubles == []
