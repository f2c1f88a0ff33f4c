"""`/` shows browsers the dashboard and programs what this is; its page loads what this server has, and nothing else."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest

from tests.postgres import TestDatabase
from tests.rest import Gateway, gateway
from tests.stack.process import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDER = ROOT / "gateway" / "ui"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}


@pytest.fixture(scope="module")
def served(module_gateway: Gateway) -> Gateway:
    return module_gateway


@pytest.mark.parametrize(
    ("accepted", "media_type"),
    [
        (BROWSER["Accept"], "text/html"),
        ("text/*;q=0.5, application/json;q=0.4", "text/html"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/json", "application/json"),
        ("text/html;q=0.9, application/json", "application/json"),
        ("text/html;q=0, */*;q=0.1", "application/json"),
    ],
)
async def test_who_would_rather_have_a_page_gets_it(served: Gateway, accepted: str, media_type: str) -> None:
    async with served.client() as client:
        answer = await client.get("/", headers={"Accept": accepted})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.headers["vary"].startswith("Accept")
    if media_type == "application/json":
        assert answer.json()["links"]["dashboard"] == "/"


async def test_the_page_runs_what_this_server_has_and_makes_no_markup_of_text(served: Gateway) -> None:
    async with served.client() as client:
        page = await client.get("/", headers=BROWSER)
        loaded = [path for path in re.findall(r'(?:src|href)="([^"#]+)"', page.text) if not path.startswith("data:")]
        for path in loaded:
            assert "//" not in path
            assert (await client.get(urljoin("/", path))).status_code == 200, path
    assert page.text == (FOLDER / "index.html").read_text()
    assert page.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert not re.search(r"<style|\sstyle=|<script(?!\s[^>]*src=)|\son\w+=", page.text)


async def test_every_file_for_a_browser_is_served_as_what_it_is_and_no_other(served: Gateway) -> None:
    files = [path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()]
    assert files
    async with served.client() as client:
        for path in files:
            answer = await client.get(f"/dashboard/{path}")
            assert answer.status_code == (200 if path.suffix in TYPES else 404), path
            if answer.is_success:
                assert answer.headers["content-type"] == TYPES[path.suffix]
                assert answer.content == (FOLDER / path).read_bytes()
        for path in ("..%2Freference%2Fpage.js", "%2e%2e%2f%2e%2e%2fopenapi.yaml", "..%5creference%5cpage.js"):
            assert (await client.get(f"/dashboard/{path}")).status_code == 404


async def test_a_browser_keeps_the_page_and_asks_whether_it_has_changed(served: Gateway) -> None:
    async with served.client() as client:
        first = await client.get("/", headers=BROWSER)
        again = await client.get("/", headers=BROWSER | {"If-None-Match": first.headers["etag"]})
        program = await client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.headers["vary"]) == (304, "Accept")
    assert (program.status_code, program.headers["cache-control"]) == (200, "no-store")


async def test_it_can_be_turned_off(module_database: TestDatabase) -> None:
    async with gateway(module_database.url, dashboard=False) as running, running.client() as client:
        front = await client.get("/", headers=BROWSER)
        assert "dashboard" not in front.json()["links"]
        for path in ("page.js", "parts/table.js"):
            refused = await client.get(f"/dashboard/{path}")
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
