"""Reads the files of deploy/, and what in them has to fit the program: commands, settings and grace periods."""

from __future__ import annotations

import re
import shlex
from configparser import RawConfigParser
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gateway.cli.main import every_parser
from gateway.settings import GatewaySettings
from gateway.stream.settings import StreamSettings
from gateway.transport.limits import ConnectionLimits
from tests.stack.process import ROOT
from workerapp.contract.specs import ConfigurationSpec
from workerapp.settings import WorkerSettings
from workerapp.tracing.traces import FAREWELL_SECONDS

DEPLOY = ROOT / "deploy"
#: How long a gateway and a worker may take to stop, by the defaults of their settings.
GATEWAY_STOPS_WITHIN = StreamSettings().drain_timeout + StreamSettings().shutdown_timeout + FAREWELL_SECONDS


def worker_stops_within() -> float:
    """A slice of a lane, the test that it is at, the patience with a database that is away, and the last traces."""
    settings = WorkerSettings.model_fields
    test: float = ConfigurationSpec.model_fields["per_test_timeout"].default
    slice_seconds: float = settings["lane_slice_seconds"].default
    patience: float = settings["result_patience_seconds"].default
    return slice_seconds + test + patience + FAREWELL_SECONDS


@cache
def variables() -> frozenset[str]:
    """The environment's names of all settings."""
    settings = GatewaySettings.model_fields | WorkerSettings.model_fields
    names = {str(field.validation_alias or f"GATEWAY_{name.upper()}") for name, field in settings.items()}
    groups = {"GATEWAY_STREAM": StreamSettings, "GATEWAY_CONNECTION": ConnectionLimits}
    parts = {f"{group}__{field.name.upper()}" for group, kind in groups.items() for field in fields(kind)}
    return frozenset(names - groups.keys() | parts)


def understands(command: list[str]) -> bool:
    """Whether the image has this command, and it takes these arguments."""
    program, *arguments = command
    if Path(program).name == "gateway":
        every_parser().parse_args(arguments)
        return True
    return Path(program).name == "start-worker.sh"


def document(name: str) -> dict[str, Any]:
    """A file of one YAML document."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return found


@cache
def objects() -> tuple[dict[str, Any], ...]:
    """All objects of Kubernetes, the secrets' example too."""
    paths = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    texts = [path.read_text(encoding="utf-8") for path in paths if path.name != "kustomization.yaml"]
    return tuple(found for text in texts for found in yaml.safe_load_all(text))


def named(kind: str, name: str) -> dict[str, Any]:
    """The one object of that kind and name."""
    (found,) = (thing for thing in objects() if (thing["kind"], thing["metadata"]["name"]) == (kind, name))
    return found


def pods() -> dict[str, dict[str, Any]]:
    """The template of the pods of each Deployment and Job, by its name."""
    return {
        thing["metadata"]["name"]: thing["spec"]["template"]
        for thing in objects()
        if thing["kind"] in {"Deployment", "Job"}
    }


def unit(path: Path) -> RawConfigParser:
    """A unit of systemd; an option that stands there twice is an error."""
    parser = RawConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # options keep their capitals
    parser.read(path, encoding="utf-8")
    return parser


def started_by(unit_file: RawConfigParser) -> list[str]:
    """The command of a unit, for the instance 8080."""
    return shlex.split(unit_file["Service"]["ExecStart"].replace("%i", "8080").replace("%%", "%"))


def seconds(duration: str) -> float:
    """What Compose calls `30s`."""
    found = re.fullmatch(r"(\d+)s", duration)
    assert found, f"{duration} is not in seconds"
    return float(found[1])
