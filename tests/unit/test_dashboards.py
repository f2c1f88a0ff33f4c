"""The dashboards for Grafana: each panel asks in valid PromQL for what is told, and says what it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment import DEPLOY, document
from tests.metric_names import exposed, named
from tests.unit.test_alerts import promtool

FOLDER = DEPLOY / "grafana" / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panels(name: str) -> list[dict[str, Any]]:
    """All that show something."""
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


def expressions(name: str) -> list[str]:
    return [target["expr"] for panel in panels(name) for target in panel["targets"]]


def test_there_are_three() -> None:
    assert {board["title"] for board in DASHBOARDS.values()} == {"Gateway", "Workers and runs", "Webhooks"}
    assert len({board["uid"] for board in DASHBOARDS.values()}) == len(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_a_number_of_its_own_and_says_what_it_shows(name: str) -> None:
    every = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        if panel["type"] == "timeseries":
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_two_panels_lie_on_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_series_that_a_panel_asks_for_is_told(name: str) -> None:
    asked = {metric for expression in expressions(name) for metric in named(expression)}
    assert asked
    assert asked <= exposed()


def test_what_is_told_is_shown() -> None:
    shown = {metric for name in DASHBOARDS for expression in expressions(name) for metric in named(expression)}
    assert {metric for metric in exposed() if metric.startswith("gateway_")} <= shown


@pytest.mark.parametrize("name", DASHBOARDS)
def test_whoever_looks_chooses_the_prometheus_and_the_instances(name: str) -> None:
    source, instance = DASHBOARDS[name]["templating"]["list"]
    assert (source["name"], source["type"]) == ("datasource", "datasource")
    assert source["current"]["value"] == document("grafana/datasource.yaml")["datasources"][0]["uid"]
    assert instance["name"] == "instance"
    assert instance["datasource"] == SOURCE
    assert named(instance["definition"]) <= exposed()
    for panel in panels(name):
        assert all(
            used == SOURCE for used in (panel["datasource"], *(target["datasource"] for target in panel["targets"]))
        )


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{name}_{place}",
            "expr": re.sub(r"\$__rate_interval", "5m", expression).replace("$instance", ".*"),
        }
        for name in DASHBOARDS
        for place, expression in enumerate(expressions(name))
    ]
    assert not [rule for rule in rules if "$" in rule["expr"]]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    promtool("check", "rules", file)


def test_grafana_of_compose_finds_them() -> None:
    mounted = dict(
        volume.split(":")[:2]
        for volume in document("compose.yaml")["services"]["grafana"]["volumes"]
        if volume[0] == "."
    )
    (provider,) = document("grafana/dashboards.yaml")["providers"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./grafana/dashboards.yaml"].startswith("/etc/grafana/provisioning/dashboards/")
    assert mounted["./grafana/datasource.yaml"].startswith("/etc/grafana/provisioning/datasources/")
