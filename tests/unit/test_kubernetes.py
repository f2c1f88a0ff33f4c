"""deploy/kubernetes holds together, and with the program's routes, commands and settings."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute

from gateway.routes import routes
from tests.deployment import (
    DEPLOY,
    GATEWAY_STOPS_WITHIN,
    document,
    named,
    objects,
    pods,
    understands,
    variables,
    worker_stops_within,
)

FOLDER = DEPLOY / "kubernetes"
PODS = pods()
SERVING = ("gateway", "worker")
#: The default of `upstream-keepalive-timeout` in the configuration of ingress-nginx.
INGRESS_KEEPS_SECONDS = 60


def container(pod: str) -> dict[str, Any]:
    (found,) = PODS[pod]["spec"]["containers"]
    return dict(found)


def paths() -> set[str]:
    return {route.path for route in routes() if isinstance(route, Route | WebSocketRoute)}


def references(thing: Any) -> Iterator[tuple[str, str, str | None]]:
    """Each config map and secret that something refers to, and the key if it names one."""
    if isinstance(thing, dict):
        for word, value in thing.items():
            if word in {"configMapRef", "configMapKeyRef"}:
                yield "ConfigMap", value["name"], value.get("key")
            elif word in {"secretRef", "secretKeyRef"}:
                yield "Secret", value["name"], value.get("key")
            else:
                yield from references(value)
    elif isinstance(thing, list):
        for item in thing:
            yield from references(item)


def test_every_file_but_the_secrets_belongs_to_the_kustomization() -> None:
    there = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}
    assert set(document("kubernetes/kustomization.yaml")["resources"]) == there


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_may_do_nothing_special(pod: str) -> None:
    spec = PODS[pod]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert "memory" in container(pod)["resources"]["limits"]


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_runs_a_command_of_the_image_that_the_kustomization_names(pod: str) -> None:
    assert understands(container(pod)["command"])
    assert [image["name"] for image in document("kubernetes/kustomization.yaml")["images"]] == [container(pod)["image"]]


@pytest.mark.parametrize("pod", PODS)
def test_what_a_pod_is_told_is_there_and_only_settings(pod: str) -> None:
    found = list(references(PODS[pod]))
    assert found
    for kind, name, key in found:
        told = named(kind, name)
        data = told["data"] if kind == "ConfigMap" else told["stringData"]
        assert data.keys() <= variables()
        assert key is None or key in data
    assert PODS[pod]["spec"]["enableServiceLinks"] is False, "GATEWAY_PORT and its like would come from the Service"


def test_only_the_migration_has_the_owners_login() -> None:
    assert [pod for pod in PODS if ("Secret", "owner", "DATABASE_URL") in references(PODS[pod])] == ["migration"]


def test_the_example_of_the_secrets_holds_none() -> None:
    secrets = [thing for thing in objects() if thing["kind"] == "Secret"]
    assert secrets
    assert not any(value for secret in secrets for value in secret["stringData"].values())


@pytest.mark.parametrize("pod", SERVING)
def test_a_probe_asks_for_what_is_answered_there(pod: str) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(pod)["ports"]}
    for name, probe in container(pod).items():
        if name.endswith("Probe"):
            assert probe["httpGet"]["port"] in ports
            assert probe["httpGet"]["path"] in (paths() if pod == "gateway" else {"/healthz", "/readyz"})
    settings = named("ConfigMap", "settings")["data"]
    bound = int(settings["GATEWAY_WORKER_METRICS_PORT"] if pod == "worker" else container(pod)["command"][-1])
    assert list(ports.values()) == [bound]
    assert PODS[pod]["metadata"]["annotations"]["prometheus.io/port"] == str(bound)


@pytest.mark.parametrize("pod", SERVING)
def test_what_lost_its_database_is_not_started_anew_but_not_ready_either(pod: str) -> None:
    probes = container(pod)
    assert probes["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_ingress_and_not_the_gateway_closes_idle_connections() -> None:
    kept = float(named("ConfigMap", "settings")["data"]["GATEWAY_CONNECTION__KEEP_ALIVE_SECONDS"])
    assert kept > INGRESS_KEEPS_SECONDS


def test_the_schemas_of_kubernetes_take_every_object() -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate and its schemas are not installed"
    )
    for thing in objects():
        validate.validate(thing, validate.latest_version(), strict=True)


def test_pods_have_the_time_to_stop() -> None:
    pause = float(container("gateway")["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert PODS["gateway"]["spec"]["terminationGracePeriodSeconds"] > pause + GATEWAY_STOPS_WITHIN
    assert PODS["worker"]["spec"]["terminationGracePeriodSeconds"] > worker_stops_within()


def test_whatever_selects_pods_selects_some() -> None:
    labels = [pod["metadata"]["labels"] for pod in PODS.values()]
    selectors = [
        selector.get("matchLabels", selector)
        for thing in objects()
        for word in ("selector", "podSelector")
        if (selector := thing.get("spec", {}).get(word))
    ]
    assert len(selectors) > len(SERVING)
    assert all(any(selector.items() <= label.items() for label in labels) for selector in selectors)


@pytest.mark.parametrize("name", SERVING)
def test_autoscaling_is_of_a_deployment_that_does_not_say_how_many(name: str) -> None:
    target = named("HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]
    deployment = named(target["kind"], target["name"])
    assert "replicas" not in deployment["spec"], "each apply would undo what the autoscaler did"
    assert named("PodDisruptionBudget", name)["spec"]["selector"] == deployment["spec"]["selector"]


def test_the_ingress_passes_every_path_but_the_metrics() -> None:
    (rule,) = named("Ingress", "gateway")["spec"]["rules"]
    rules = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]

    def passes(path: str) -> bool:
        return any(path == mine or (kind == "Prefix" and path.startswith(f"{mine}/")) for mine, kind in rules)

    assert {path for path in paths() if not passes(path)} == {"/metrics"}
    backends = {path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert [named("Service", backend)["spec"]["ports"][0]["name"] for backend in backends] == ["http"]


def test_kustomize_builds_it() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl on this machine")
    done = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "registry.example.com/task-status-gateway:" in done.stdout
