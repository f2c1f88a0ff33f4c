"""What the site is built from: the REST reference has every route and schema, and the pictures are of what there is."""

from __future__ import annotations

import re

import pytest

from docs.site.recording import settle, shorten
from docs.site.rest_reference import Reference
from gateway.cli.demo import EXPECTED
from tests.contract import contract
from tests.stack.process import ROOT


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return Reference(contract().document).pages()


def test_the_reference_has_every_operation_on_the_pages_of_its_tags(pages: dict[str, str]) -> None:
    for (method, path), operation in contract().operations().items():
        for tag in operation["tags"]:
            assert f"{{ #{operation['operationId']} }}\n\n`{method} {path}`" in pages[f"{tag}.md"]


def test_the_reference_has_every_schema_and_each_link_to_one_leads_there(pages: dict[str, str]) -> None:
    anchors = set(re.findall(r"^## .+ \{ #(\w+) \}$", pages["schemas.md"], re.MULTILINE))
    assert anchors == contract().document["components"]["schemas"].keys()
    linked = {name for text in pages.values() for name in re.findall(r"\]\(schemas\.md#(\w+)\)", text)}
    assert linked <= anchors


def test_the_navigation_has_every_page_of_the_reference(pages: dict[str, str]) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {f"rest/{name}" for name in pages} == set(re.findall(r"rest/[\w-]+\.md", navigation))


def test_the_recording_shows_how_the_demo_ends_and_no_key() -> None:
    picture = (ROOT / "docs" / "pictures" / "demo.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    said = "The run ended as {status}: {total} tests, {passed} passed, {failed} failed, {errored} errors"
    assert said.format_map(EXPECTED) in picture
    assert not re.search(r"tsg_\w", picture)


@pytest.mark.parametrize("name", ["architecture", "demo"])
def test_a_picture_loads_nothing(name: str) -> None:
    picture = (ROOT / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|href=|@import|<script", picture)


def test_a_recording_is_of_the_last_state_of_a_line_and_of_a_part_of_the_table() -> None:
    written = "Starting\r\n\x1b[?25l1 of 2\r\x1b[2K2 of 2\x1b[?25h\r\n"
    assert settle(written) == ["Starting", "2 of 2", ""]
    rows = [f"  {n} \x1b[3{n}m{status}\x1b[0m" for n, status in enumerate(["error", "error", *["fail"] * 5])]
    assert shorten(["head", *rows, "", "48 tests", "tsg_abc"]) == [
        "head", rows[0], "  …", *rows[2:5], "  …", "", "48 tests", "tsg_…",
    ]  # fmt: skip
