"""Bring the database to the newest schema; its user must own it, or be a superuser. Doing it again changes nothing."""

from __future__ import annotations

import argparse

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from gateway.cli.failures import CommandFailed, ExitStatus
from gateway.cli.operator_database import add_database_argument, database_url
from workerapp.db.address import DatabaseAddress
from workerapp.db.migrations.migrate import UpgradeRefused, upgrade


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_database_argument(parser)


def execute(options: argparse.Namespace) -> int:
    """Upgrade, and say so."""
    url = database_url(options.database_url)
    upgrade_database(url)
    print(f"The database {DatabaseAddress.parse(url).redacted()} has the newest schema.")
    return ExitStatus.OK


def upgrade_database(url: str) -> None:
    """Upgrade.

    Raises:
        CommandFailed: the database cannot be reached, or refuses.
    """
    where = DatabaseAddress.parse(url).redacted()
    try:
        upgrade(url)
    except UpgradeRefused as error:
        raise CommandFailed(str(error)) from error
    except (SQLAlchemyError, psycopg.Error) as error:
        cause = getattr(error, "orig", None) or error
        raise CommandFailed(f"the database {where} cannot be upgraded: {str(cause).strip().splitlines()[0]}") from error
