"""deploy/compose.yaml holds together, and with nginx.conf, prometheus.yml and the settings."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deployment import (
    DEPLOY,
    GATEWAY_STOPS_WITHIN,
    document,
    seconds,
    understands,
    variables,
    worker_stops_within,
)
from workerapp.db.migrations.migrate import ROLES

TEXT = (DEPLOY / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = document("compose.yaml")["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
GATEWAYS = ("gateway-1", "gateway-2")
#: Of Flower, which is in our image.
FOREIGN = {"FLOWER_BASIC_AUTH"}


def address(service: str) -> str:
    found: str = SERVICES[service]["networks"]["default"]["ipv4_address"]
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_services_that_there_are_and_can_tell_that_they_are_ready(name: str) -> None:
    for other, needs in SERVICES[name].get("depends_on", {}).items():
        needed = SERVICES[other]
        if needs["condition"] == "service_healthy":
            assert "test" in needed.get("healthcheck", {}) or other in GATEWAYS, "the image's own, or one here"
        else:
            assert needed["restart"] == "no", "what has to end is not started again"
        if "profiles" in needed and needed["profiles"] != SERVICES[name].get("profiles"):
            assert needs["required"] is False


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_not_root_and_has_limits(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or service["user"] not in {"", "0", "root"}, "our image has a user of its own"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "restart"} <= service.keys()


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_told_settings_and_runs_a_command_that_there_are(name: str) -> None:
    assert OURS[name]["environment"].keys() <= variables() | FOREIGN
    command = OURS[name]["command"]
    assert understands(command) or "exec celery -A workerapp flower" in command[-1]


def test_what_compose_asks_of_the_environment_is_in_its_example() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    example = (DEPLOY / "compose.env.example").read_text()
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_no_password_has_a_default() -> None:
    secret = re.compile(r"PASSWORD|SECRET|AUTH")
    uses = re.findall(r"(?<!\$)\$\{(\w+)(:.)([^}]*)\}", TEXT)
    assert all(how == ":?" or said == "" for name, how, said in uses if secret.search(name.replace("OAUTH", "")))
    for name, service in SERVICES.items():
        # What only a profile needs can be empty for the others, so its own service refuses that.
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable) and str(value).endswith(":-}"):
                started = " ".join(service.get("entrypoint", []) + service.get("command", []))
                assert f"$${{{variable}:?" in started, name
    example = (DEPLOY / "compose.env.example").read_text()
    assert not [name for name in re.findall(r"^(\w+)=.+", example, re.MULTILINE) if secret.search(name)]


def test_only_nginx_is_reached_from_outside_of_the_machine() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert [name for name, port in published.items() if not port.startswith("127.0.0.1:")] == ["nginx"]
    assert not published.keys() & {"postgres", "redis", "rabbitmq", *GATEWAYS}


def test_nginx_finds_the_gateways_and_they_believe_it() -> None:
    moved = dict(re.findall(r"s/(127[\d.]+:\d+)/([\d.]+:\d+)/", SERVICES["nginx"]["command"][-1]))
    assert set(re.findall(r"server (127\S+) ", (DEPLOY / "nginx.conf").read_text())) == moved.keys()
    assert list(moved.values()) == [f"{address(name)}:8080" for name in GATEWAYS]
    for name in GATEWAYS:
        assert SERVICES[name]["command"][-2:] == ["--port", "8080"]
        assert SERVICES[name]["environment"]["GATEWAY_TRUSTED_PROXIES"] == address("nginx")


def test_prometheus_asks_services_at_ports_that_they_have() -> None:
    gateways, workers = document("prometheus.yml")["scrape_configs"]
    assert gateways["static_configs"] == [{"targets": [f"{name}:8080" for name in GATEWAYS]}]
    (lookup,) = workers["dns_sd_configs"]
    assert lookup["names"] == ["worker"]
    port = SERVICES["worker"]["environment"]["GATEWAY_WORKER_METRICS_PORT"]
    assert str(lookup["port"]) == port
    assert f":{port}/healthz" in SERVICES["worker"]["healthcheck"]["test"][-1]


def test_gateways_and_workers_have_the_time_to_stop() -> None:
    for name in GATEWAYS:
        assert seconds(SERVICES[name]["stop_grace_period"]) > GATEWAY_STOPS_WITHIN
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > worker_stops_within()


def test_files_and_volumes_that_are_mounted_are_there() -> None:
    volumes = document("compose.yaml")["volumes"]
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source.startswith("/") or (DEPLOY / source).exists() or source in volumes, source


def test_the_logins_that_are_made_are_those_that_are_used() -> None:
    made = (DEPLOY / "logins.sql").read_text()
    assert tuple(re.findall(r"CREATE ROLE (\w+) NOLOGIN NOSUPERUSER NOBYPASSRLS;", made)) == ROLES
    for name in OURS:
        login, password = re.findall(r"//(\w+):\$\{(\w+):", OURS[name]["environment"]["DATABASE_URL"])[0]
        assert f"CREATE ROLE {login} LOGIN PASSWORD :'{password.lower()}'" in made
        assert f"getenv {password.lower()} {password}\n" in made
        assert password in SERVICES["postgres"]["environment"]
