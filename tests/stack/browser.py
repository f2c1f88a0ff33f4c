"""Chromium, and pages of the suite that come from a gateway's own origin."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.stack.process import ROOT

PAGES = ROOT / "tests" / "acceptance" / "pages"
CHROMIUM_OF_DEBIAN = "/usr/bin/chromium"
#: Root has no sandbox; the others keep it from talking to anybody but the test.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000


def chromium_program() -> str:
    """Where Chromium is; the test is skipped if there is none."""
    program = shutil.which(os.environ.get("CHROMIUM", CHROMIUM_OF_DEBIAN))
    if program is None:
        pytest.skip(f"there is no Chromium at $CHROMIUM or {CHROMIUM_OF_DEBIAN} (Debian: apt install chromium)")
    return program


@contextmanager
def running_browser() -> Iterator[Browser]:
    program = chromium_program()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


def open_page(context: BrowserContext, origin: str, name: str = "watch.html") -> Page:
    """A page of the suite in the place of one that the server at `origin` answered, so with that server's origin."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{origin}/healthz")
    page.set_content((PAGES / name).read_text())
    return page


def example(document: Path, saying: str) -> str:
    """The one piece of JavaScript in a document that has this in it."""
    blocks = re.findall(r"^```js\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if saying in block]
    return str(found)
