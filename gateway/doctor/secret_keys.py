"""The keys of stored secrets: set, and those that open what is stored."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from gateway.auth.keyring import KeyringRefused, open_keyring
from gateway.doctor.finding import Finding, ok, problem, skipped, warning
from gateway.doctor.setup import Setup, first_line
from gateway.resealing import KeyUse, key_uses


def look_at_secret_keys(setup: Setup) -> Iterable[Finding]:
    """Which key sealed what; only the login that migrated sees what all organizations have stored."""
    sealer = setup.settings.sealer
    if not sealer.key_ids:
        yield warning(
            "GATEWAY_SECRET_KEYS is not set: nothing secret can be stored",
            "put what `gateway keys secret` prints into GATEWAY_SECRET_KEYS of gateways and workers",
        )
    try:
        with open_keyring(setup.owner or setup.address) as connection:
            uses = key_uses(connection, sealer)
    except (KeyringRefused, psycopg.Error) as error:
        if setup.owner is not None:
            yield problem(f"the login of --owner-url cannot look: {first_line(error)}", "name the login that migrated")
            return
        yield skipped(
            f"{len(sealer.key_ids)} keys are set; the serving login does not see what they open",
            "name the login that migrated with --owner-url",
        )
        return
    yield from _judge(uses, len(sealer.key_ids))


def _judge(uses: list[KeyUse], keys: int) -> Iterable[Finding]:
    missing = [use for use in uses if use.listed == "missing"]
    for use in missing:
        yield problem(
            f"{use.secrets} secrets in {use.column} were sealed with the key {use.key_id}, which is not set",
            "put that key back into GATEWAY_SECRET_KEYS, behind the newest; what it sealed is lost without it",
        )
    if missing or not keys:
        return
    older = sum(use.secrets for use in uses if use.listed == "later")
    if older:
        yield ok(
            f"all stored secrets can be opened, {older} with an older key: `gateway secret-keys rotate` seals them anew"
        )
    else:
        yield ok(f"all {sum(use.secrets for use in uses)} stored secrets are sealed with the first key")
