"""The alert rules: Prometheus takes them, each fires on its fault and on nothing healthy, and the page lists them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.alerts import FAULTS, alerts, scenario
from tests.deployment import DEPLOY
from tests.metric_names import exposed, named
from tests.stack.process import ROOT

ALERTS = alerts()
NAMES = [alert.name for alert in ALERTS]


def promtool(*arguments: str | Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool on this machine")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_its_files() -> None:
    promtool("check", "config", DEPLOY / "prometheus.yml")
    promtool("check", "rules", DEPLOY / "alerts.yml")


def test_each_alert_fires_on_its_fault_and_is_silent_while_all_is_well(tmp_path: Path) -> None:
    assert FAULTS.keys() == set(NAMES)
    healthy = scenario("all is well", {}, expected=dict.fromkeys(NAMES, False))
    faults = [scenario(name, changes, expected={name: True}) for name, changes in FAULTS.items()]
    file = tmp_path / "alerts_test.yml"
    rules = {"rule_files": [str(DEPLOY / "alerts.yml")], "evaluation_interval": "1m", "tests": [healthy, *faults]}
    file.write_text(yaml.safe_dump(rules))
    promtool("test", "rules", file)


def test_every_alert_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_looks_at_what_is_told_and_says_what_to_do(alert) -> None:
    assert named(alert.expression) <= exposed()
    assert alert.severity in {"critical", "warning"}
    assert alert.description[0].isupper() or alert.description.startswith("{{")
    assert alert.description.endswith(".")
    page, _, section = alert.documentation.partition("#")
    titles = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert not section or section in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_page_lists_the_alerts_as_they_are() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = text.split("\n## What to alert on\n")[1].split("\n## ")[0]
    assert [line for line in table.splitlines() if line.startswith("| ")][1:] == [alert.row() for alert in ALERTS]
