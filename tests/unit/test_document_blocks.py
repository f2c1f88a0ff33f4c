"""Every fenced block of the pages is executed by somebody, or says why it is not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.documents.blocks import Block, PageUnreadable, all_blocks, blocks_of, pages, read_blocks
from tests.documents.claims import CLAIMS, Claim, Executor, executor_of
from tests.documents.formats import faults
from tests.documents.shapes import Shapes
from tests.stack.process import ROOT

#: How many blocks of each page are not run. Their marks say why; another one has to be let in here.
NOT_RUN = {"README.md": 1, "docs/deployment.md": 5, "docs/webhooks.md": 1}


def executors() -> list[tuple[Block, Executor | None]]:
    found = []
    for page in pages():
        blocks = blocks_of(page)
        above = (None, *blocks)
        found += [(block, executor_of(block, above[number])) for number, block in enumerate(blocks)]
    return found


def test_every_block_is_executed_by_somebody_or_says_why_not() -> None:
    forgotten = [str(block) for block, executor in executors() if executor is None]
    assert not forgotten, "nobody executes " + ", ".join(forgotten) + "; see tests/documents/claims.py"


def test_the_blocks_that_are_not_run_are_few_and_known() -> None:
    assert Counter(block.page for block in all_blocks() if block.mark == "not run") == NOT_RUN
    assert all(len(block.about.split()) > 2 for block in all_blocks() if block.mark == "not run"), "a reason"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.page}-{claim.language}-{claim.beginning}")
def test_a_claim_is_of_blocks_and_a_test_that_there_are(claim: Claim) -> None:
    assert any(claim.covers(block) for block in blocks_of(claim.page))
    path, _, name = claim.test.partition("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name}(" in source if name else "def test_" in source


@pytest.mark.parametrize("block", [block for block, executor in executors() if executor is Executor.FORMAT], ids=str)
def test_data_is_what_it_is_said_to_be(block: Block) -> None:
    assert faults(block) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\necho\n", "is not closed"),
        ("<!-- like: this -->\n```sh\necho\n```\n", "no mark is named 'like'"),
    ],
)
def test_a_page_that_cannot_be_read_is_told(text: str, said: str) -> None:
    with pytest.raises(PageUnreadable, match=said):
        read_blocks("page.md", text)


def test_a_block_that_nobody_executes_is_found() -> None:
    unknown, plain, shown = read_blocks("page.md", "```perl\n1\n```\n```json\n{}\n```\n```text\nyes\n```\n")
    assert executor_of(unknown, None) is None
    assert executor_of(plain, unknown) is None, "JSON has to say what it is"
    assert executor_of(shown, plain) is None, "what is shown has to be of a command"


def test_a_shape_is_the_same_but_for_what_is_another_one_each_time() -> None:
    one, other = "01a20292-0fc7-7985-b437-5810807ba775", "a4c7b47a-5a74-435b-9cbf-84b845f8e37c"
    shapes = Shapes()
    assert shapes.difference(f"task {one} after 12 ms\n…\n{one}", f"task {other} after 3.5 ms\nmore\n{other}") is None
    assert shapes.translate(f"gateway watch {one}") == f"gateway watch {other}"
    assert shapes.difference(f"task {one}", f"task {one}") == f"task {one}", "it was another one before"
    assert shapes.difference("first\nsecond", "second\nfirst") == "second"
    assert shapes.difference("passed 3", "failed 3") == "passed 3"
