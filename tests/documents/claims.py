"""Who executes each block of the pages: a story, a check of its format, or a test that was written for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.documents.blocks import Block


class Executor(StrEnum):
    """What is done with a block."""

    STORY = "it is run, in the order of the page"
    FORMAT = "it is parsed, and held against openapi.yaml or the settings"
    ELSEWHERE = "a test of its own executes it"
    NOT_RUN = "it is not run, and its mark says why"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The blocks of a page that are in a language, and begin with a text, are executed by a test."""

    page: str
    language: str
    test: str
    beginning: str = ""

    def covers(self, block: Block) -> bool:
        same = (block.page, block.language) == (self.page, self.language)
        return same and block.text.startswith(self.beginning)


CLAIMS = (
    Claim(
        page="README.md",
        language="text",
        beginning="gateway/ ",
        test="tests/unit/test_documents.py::test_the_readme_names_modules_that_exist",
    ),
    Claim(
        page="docs/api-policy.md",
        language="text",
        beginning="Deprecation: ",
        test="tests/integration/test_api_deprecation.py",
    ),
    *(
        Claim(page="docs/clients.md", language=language, test="tests/acceptance/test_generated_clients.py")
        for language in ("python", "typescript", "java")
    ),
    Claim(
        page="docs/endpoints.md",
        language="yaml",
        test="tests/unit/test_endpoint_examples.py::test_an_example_is_an_endpoint",
    ),
    Claim(
        page="docs/test-sets.md",
        language="yaml",
        test="tests/unit/test_endpoint_examples.py::test_the_example_of_a_test_with_turns_is_one",
    ),
    Claim(
        page="docs/scoring.md",
        language="yaml",
        test="tests/unit/test_scoring_examples.py::test_example_is_accepted",
    ),
    Claim(page="docs/own-tasks.md", language="python", test="tests/acceptance/test_own_tasks.py"),
    Claim(page="docs/own-tasks.md", language="toml", test="tests/acceptance/test_own_tasks.py"),
    Claim(page="docs/streams.md", language="js", test="tests/acceptance/test_browser.py"),
    Claim(
        page="docs/webhooks.md",
        language="json",
        test="tests/unit/test_webhook_examples.py::test_an_example_is_a_delivery",
    ),
    *(
        Claim(
            page="docs/webhooks.md",
            language=language,
            beginning=beginning,
            test="tests/acceptance/test_webhook_receivers.py",
        )
        for language, beginning in (("python", "import "), ("typescript", "import "), ("sh", "#!/bin/sh"))
    ),
)

_RUN = frozenset({"sh", "bash", "console", "python", "sql"})
_OUTPUT = frozenset({"", "text"})
_DATA = frozenset({"json", "yaml", "toml"})


def executor_of(block: Block, above: Block | None) -> Executor | None:
    """Who executes a block; None where nobody does. `above` is the block before it on its page."""
    if block.mark == "not run":
        return Executor.NOT_RUN
    if any(claim.covers(block) for claim in CLAIMS):
        return Executor.ELSEWHERE
    if block.mark == "file" or block.language in _RUN:
        return Executor.STORY
    if block.language in _OUTPUT:
        return Executor.STORY if above and above.language in _RUN and not above.mark else None
    if block.language in _DATA and (block.mark or block.language != "json"):
        return Executor.FORMAT
    return None
