"""The keys of stored secrets: which of GATEWAY_SECRET_KEYS is needed for what, and sealing all anew with the first.

Use the database login that migrated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.operator_database import add_database_argument, keyring
from gateway.cli.rows import print_rows
from gateway.operator_audit import note_operation
from gateway.resealing import COLUMNS, Batch, SealedColumn, key_uses, reseal
from workerapp.db.sealing import Sealer
from workerapp.db.settings import SettingsInvalid, SharedSettings, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    rotate = actions.add_parser("rotate", help="seal all secrets anew with the first key; it can be repeated")
    rotate.set_defaults(action=_rotate)
    rotate.add_argument("--check", action="store_true", help="only tell which key is needed for how many secrets")
    rotate.add_argument(
        "--batch", type=_positive, default=500, metavar="N", help="so many secrets in a transaction (default: 500)"
    )
    rotate.add_argument("--json", action="store_true", help="print JSON, an object a line")
    add_database_argument(rotate)


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    options.action(options)
    return ExitStatus.OK


def _rotate(options: argparse.Namespace) -> None:
    sealer = _sealer(options)
    if options.check:
        _check(options, sealer)
        return
    resealed = unopened = 0
    for column in COLUMNS:
        for batch in _batches(options, column, sealer):
            resealed, unopened = resealed + batch.resealed, unopened + batch.unopened
    if options.json:
        print_rows([{"key_id": sealer.key_ids[0], "resealed": resealed, "not_opened": unopened}], as_json=True)
    else:
        print(f"{resealed} secrets are sealed anew with the key {sealer.key_ids[0]}.")
    if unopened:
        raise CommandFailed(
            f"{unopened} secrets were left as they are: none of GATEWAY_SECRET_KEYS opens them; "
            "`gateway secret-keys rotate --check` tells which keys are missing"
        )


def _batches(options: argparse.Namespace, column: SealedColumn, sealer: Sealer) -> Iterator[Batch]:
    """Each is a transaction with its entry in the audit log: what was interrupted goes on where it was."""
    after = None
    while True:
        with keyring(options) as connection:
            batch = reseal(connection, column, sealer, after=after, most=options.batch)
            if batch.resealed:
                note_operation(connection, "secret_key.rotate", sealer.key_ids[0], None, secrets=batch.resealed)
        yield batch
        after = batch.last
        if after is None:
            return


def _check(options: argparse.Namespace, sealer: Sealer) -> None:
    with keyring(options) as connection:
        uses = key_uses(connection, sealer)
    print_rows([asdict(use) for use in uses], as_json=options.json)
    missing = sum(use.secrets for use in uses if use.listed == "missing")
    if missing:
        raise CommandFailed(f"{missing} secrets need keys that are not in GATEWAY_SECRET_KEYS")


def _sealer(options: argparse.Namespace) -> Sealer:
    given = {} if options.database_url is None else {"database_url": options.database_url}
    try:
        sealer = load_settings(SharedSettings, **given).sealer
    except SettingsInvalid as error:
        raise CommandFailed(str(error)) from error
    if not sealer.key_ids:
        raise CommandFailed("GATEWAY_SECRET_KEYS is not set; it has the new key first, and behind it those that sealed")
    return sealer


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:  # noqa: PLR2004 - what one transaction may well do
        raise argparse.ArgumentTypeError("must be between 1 and 100000")
    return number
