"""The endpoints and the test that the documentation shows are right."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.stack.process import ROOT
from workerapp.contract.specs import EndpointSpec, TestSpec

EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "endpoints.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_an_endpoint(text: str) -> None:
    EndpointSpec.model_validate(yaml.safe_load(text))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_the_example_of_a_test_with_turns_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "test-sets.md").read_text(), re.DOTALL)
    assert len(TestSpec.model_validate(yaml.safe_load(text)).turns or ()) == 2
