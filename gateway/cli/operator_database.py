"""The database as operators name it: by an option, or as every process does."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.auth.keyring import KeyringRefused, open_keyring
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


@contextmanager
def keyring(options: argparse.Namespace) -> Iterator[psycopg.Connection]:
    """One transaction of the options' database that may make organizations, users and keys.

    Raises:
        CommandFailed: the database cannot be reached, refuses, or has no schema yet.
    """
    with keyring_at(database_url(options.database_url)) as connection:
        yield connection


@contextmanager
def keyring_at(url: str) -> Iterator[psycopg.Connection]:
    """The same of the database at the URL."""
    address = DatabaseAddress.parse(url)
    try:
        with open_keyring(address) as connection:
            yield connection
    except KeyringRefused as error:
        raise CommandFailed(str(error)) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise CommandFailed(f"{address.redacted()} has no tables yet; run `gateway migrate` first") from error
    except psycopg.Error as error:
        problem = str(error).strip().splitlines()[0]
        hint = "; run `gateway migrate` first" if 'role "definer" does not exist' in problem else ""
        raise CommandFailed(f"the database {address.redacted()} cannot be used: {problem}{hint}") from error


def rows_of(connection: psycopg.Connection, statement: Any, parameters: Any) -> list[dict[str, Any]]:
    """What a statement answers, by the names of its columns."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()
