"""The deliveries that docs/webhooks.md shows are such as openapi.yaml describes."""

from __future__ import annotations

import json
import re

import pytest

from tests.contract import contract
from tests.stack.process import ROOT
from workerapp.contract.webhooks import WEBHOOK_TYPES

EXAMPLES = re.findall(r'```json\n(\{\n  "type".*?)```', (ROOT / "docs" / "webhooks.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_delivery(text: str) -> None:
    assert contract().payload_errors(json.loads(text)) == []


def test_there_is_an_example_of_each_kind() -> None:
    shown = {json.loads(text)["type"].partition(".")[0] for text in EXAMPLES}
    assert shown == {kind.partition(".")[0] for kind in WEBHOOK_TYPES}
