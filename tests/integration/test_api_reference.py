"""`/docs` is whole by itself: its page loads what this server has, keeps it by its tag, and can be turned off."""

from __future__ import annotations

import re

import pytest

from tests.postgres import TestDatabase
from tests.rest import Gateway, gateway
from tests.stack.process import ROOT

FOLDER = ROOT / "gateway" / "reference"


async def test_the_page_and_its_files_need_no_key_and_run_nothing_of_others(served: Gateway) -> None:
    async with served.client() as client:
        page = await client.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert [path for path in loaded if path.startswith("docs/")] == [
            f"docs/{name}" for name in ("swagger-ui.css", "page.css", "swagger-ui-bundle.js", "page.js")
        ]
        assert not [path for path in loaded if "//" in path]
        for path in loaded:
            assert path.startswith("data:") or (await client.get(f"/{path}")).status_code == 200
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "<style" not in page.text
    assert not re.search(r"<script(?! src=)|\son\w+=", page.text)


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui-bundle.js", "/openapi.yaml"])
async def test_a_browser_keeps_it_and_asks_whether_it_has_changed(served: Gateway, path: str) -> None:
    async with served.client() as client:
        first = await client.get(path)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.headers["etag"]) == (304, first.headers["etag"])


async def test_it_has_no_other_files(served: Gateway) -> None:
    async with served.client() as client:
        for name in ("README.md", "update.sh", "page.html", "..%2F..%2Fopenapi.yaml"):
            assert (await client.get(f"/docs/{name}")).status_code == 404


async def test_it_can_be_turned_off(database: TestDatabase) -> None:
    async with gateway(database.url, reference=False) as running, running.client() as client:
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/docs/page.js")).status_code == 404
        assert "reference" not in (await client.get("/")).json()["links"]


def test_what_is_vendored_says_its_version_and_has_its_license() -> None:
    (version,) = re.findall(r"swagger-ui\) ([0-9.]+),", (FOLDER / "README.md").read_text())
    assert f'"{version}"' in (FOLDER / "swagger-ui-bundle.js").read_text()
    assert "Apache License" in (FOLDER / "LICENSE").read_text()
