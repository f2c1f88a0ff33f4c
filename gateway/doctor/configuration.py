"""The settings: whether they can be read, and what they allow that nobody should."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from gateway.doctor.finding import Finding, ok, warning
from gateway.doctor.setup import Setup
from gateway.settings import GatewaySettings, SettingsInvalid, load_gateway_settings
from workerapp.contract.outbound import SETTING
from workerapp.settings import WorkerSettings, load_worker_settings

#: Where clouds hand credentials to whoever asks from inside.
_METADATA = tuple(map(ip_address, ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")))
_EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def read_settings(**values: str) -> tuple[GatewaySettings, WorkerSettings]:
    """The settings of both programs; `values` win over the environment.

    Raises:
        SettingsInvalid: with all that is wrong, each of it once.
    """
    wrong: dict[str, None] = {}
    gateway: GatewaySettings | None = None
    worker: WorkerSettings | None = None
    try:
        gateway = load_gateway_settings(**values)
    except SettingsInvalid as error:
        wrong |= dict.fromkeys(error.sentences)
    try:
        worker = load_worker_settings(**values)
    except SettingsInvalid as error:
        wrong |= dict.fromkeys(error.sentences)
    if gateway is None or worker is None:
        raise SettingsInvalid(wrong)
    return gateway, worker


def look_at_settings(setup: Setup) -> Iterable[Finding]:
    """They could be read; what is left is what concerns two of them."""
    hours = setup.worker.retention_idempotency_key_days * 24
    if hours * 3600 < setup.settings.idempotency_ttl_seconds:
        yield warning(
            f"workers forget idempotency keys after {hours:g} hours, and the gateway promises "
            f"{setup.settings.idempotency_ttl_seconds / 3600:g}",
            "make GATEWAY_RETENTION_IDEMPOTENCY_KEY_DAYS at least GATEWAY_IDEMPOTENCY_TTL_SECONDS",
        )
    if setup.settings.worker_dead_seconds < 2 * setup.worker.report_seconds:
        yield warning(
            f"workers report every {setup.worker.report_seconds:g} seconds and count as dead after "
            f"{setup.settings.worker_dead_seconds:g}",
            "make GATEWAY_WORKER_DEAD_SECONDS several times GATEWAY_REPORT_SECONDS",
        )
    yield ok("all settings can be read")


def look_at_outbound(setup: Setup) -> Iterable[Finding]:
    """Which networks may be called on tenants' behalf."""
    allowed = setup.settings.outbound.allow
    for network in allowed:
        if network in _EVERYTHING:
            yield warning(
                f"{SETTING} has {network}: whoever registers an endpoint reaches every machine of your network",
                "name only the networks with applications under test",
            )
        elif any(address in network for address in _METADATA):
            yield warning(
                f"{SETTING} has {network}, where clouds hand out the credentials of this machine",
                "leave that network out, or name the single addresses that are meant",
            )
    opened = ", ".join(map(str, allowed))
    yield ok(f"the public network may be called, and besides it {opened}" if opened else "only the public network")
