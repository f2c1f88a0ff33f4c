"""The database as operators name it: by an option, or as every process does."""

from __future__ import annotations

import argparse

from gateway.cli.failures import CommandFailed, UsageInvalid
from workerapp.db.address import AddressInvalid, DatabaseAddress
from workerapp.db.settings import SettingsInvalid, SharedSettings, load_settings


def add_database_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--database-url", metavar="URL", help="postgresql://user:password@host:port/database (default: DATABASE_URL)"
    )


def database_url(option: str | None) -> str:
    """The option's URL, else that of the environment or `.env`."""
    if option is None:
        try:
            return load_settings(SharedSettings).database_url
        except SettingsInvalid as error:
            raise CommandFailed(str(error)) from error
    try:
        DatabaseAddress.parse(option)
    except AddressInvalid as error:
        raise UsageInvalid(f"--database-url: {error}") from error
    return option
