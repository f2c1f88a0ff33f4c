"""What a process tells Prometheus, as tests look at it."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families


def read(text: str) -> dict[str, float]:
    """The values of all series, by name and, after a blank each, the values of their labels in the labels' order."""
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def families(text: str) -> set[str]:
    """The names of ours, as queries have them: without the suffixes that a histogram's series have."""
    every = [family for family in text_string_to_metric_families(text) if family.name.startswith("gateway_")]
    found = [family for family in every if not family.name.endswith("_created")]
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in found}


def scrape(url: str) -> dict[str, float]:
    response = httpx.get(f"{url}/metrics")
    assert response.status_code == httpx.codes.OK
    return read(response.text)
