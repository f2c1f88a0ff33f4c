"""The examples of docs/scoring.md are metrics that are accepted, and leave none out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from tests.judging import METRICS
from workerapp.contract.metrics import Metric

PAGE = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    metric
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    for metric in yaml.safe_load(block)["metrics"]
]


@pytest.mark.parametrize("metric", EXAMPLES, ids=lambda metric: metric["type"])
def test_example_is_accepted(metric: dict[str, Any]) -> None:
    METRICS.validate_python([metric])


def test_every_metric_has_an_example() -> None:
    types = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(Metric)[0])}
    assert {metric["type"] for metric in EXAMPLES} == types
