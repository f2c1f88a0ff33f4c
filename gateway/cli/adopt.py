"""Make the tasks of an existing Celery app appear as an organization's: by a trigger on the app's own result table.

The app stays as it is. Use the login that migrated; docs/adopt.md says what it needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from gateway.cli.failures import CommandFailed, ExitStatus, UsageInvalid
from gateway.cli.operator_database import add_database_argument, database_url, keyring
from workerapp.db.address import DatabaseAddress
from workerapp.db.adoption import Adoption, AdoptionRefused, AppTable, adopt, import_existing, stop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--organization", metavar="NAME", help="whose the app's tasks are to be")
    parser.add_argument("--schema", default="public", help="the table's schema (default: %(default)s)")
    parser.add_argument("--table", default="celery_taskmeta", help="the table (default: %(default)s)")
    parser.add_argument("--existing", action="store_true", help="record the rows that are there, too")
    parser.add_argument(
        "--batch", type=_positive, default=500, metavar="N", help="rows in one transaction (default: %(default)s)"
    )
    parser.add_argument(
        "--result-max-bytes",
        type=_positive,
        default=1_048_576,
        metavar="N",
        help="the largest result to copy (default: %(default)s)",
    )
    parser.add_argument("--stop", action="store_true", help="take the trigger off; tasks that are known stay")
    add_database_argument(parser)


def execute(options: argparse.Namespace) -> int:
    """Adopt the table, or let it go."""
    address = DatabaseAddress.parse(database_url(options.database_url))
    table = AppTable(schema=options.schema, name=options.table)
    if options.stop:
        _stop(address, table)
    elif options.organization:
        _adopt(options, address, table)
    else:
        raise UsageInvalid("say whose the tasks are to be, with --organization NAME (or --stop)")
    return ExitStatus.OK


def _adopt(options: argparse.Namespace, address: DatabaseAddress, table: AppTable) -> None:
    adoption = Adoption(
        table=table,
        organization_id=_organization(options),
        result_max_bytes=options.result_max_bytes,
    )
    with _operator(address, table) as connection:
        adopt(connection, adoption)
        print(f"From now on, tasks in {table} are tasks of {options.organization}.")
        if options.existing:
            imported = import_existing(connection, adoption, options.batch)
            print(f"Of {imported.rows} rows that were there, {imported.recorded} are recorded; the rest was known.")


def _stop(address: DatabaseAddress, table: AppTable) -> None:
    with _operator(address, table) as connection:
        stopped = stop(connection, table)
    print(f"{table} is no longer adopted." if stopped else f"{table} was not adopted; nothing was done.")


def _organization(options: argparse.Namespace) -> UUID:
    name = options.organization
    with keyring(options) as connection:
        row = connection.execute("SELECT id FROM organization WHERE name = %s", (name,)).fetchone()
    if row is None:
        raise CommandFailed(f"there is no organization {name!r}; `gateway keys create --organization` makes one")
    return UUID(str(row[0]))


@contextmanager
def _operator(address: DatabaseAddress, table: AppTable) -> Iterator[psycopg.Connection]:
    """A connection as the login itself: the table is the app's, and no role of ours has a right to it.

    Raises:
        CommandFailed: the database cannot be reached or refuses, or the table cannot be adopted.
    """
    try:
        conninfo = address.conninfo(application_name="gateway-adopt")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield connection
    except AdoptionRefused as error:
        raise CommandFailed(str(error)) from error
    except psycopg.errors.UndefinedFunction as error:
        raise CommandFailed(f"{address.redacted()} has no schema of this version; run `gateway migrate`") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise CommandFailed(
            f"the user of {address.redacted()} may not do this ({_first_line(error)}): it needs the rights SELECT and"
            f" TRIGGER on {table} and USAGE on its schema, and for --stop to own the table or be a superuser"
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise CommandFailed(f"{table} was in use by a long transaction for 10 seconds; try again") from error
    except psycopg.Error as error:
        raise CommandFailed(f"the database {address.redacted()} cannot be used: {_first_line(error)}") from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0]


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000_000:  # noqa: PLR2004 - what fits Postgres' integer and one transaction
        raise argparse.ArgumentTypeError("must be between 1 and 100000000")
    return number
