"""Say what is wrong with a setup and how to mend it: settings, database, login, broker, workers, versions, clock.

Run it where a gateway or a worker runs, with the same settings; it changes nothing. --gateway has a running gateway
looked at too, as its callers reach it; --up has a running `gateway up` looked at. The exit status is 0 if nothing is a
problem, warnings or not, and 1 otherwise. docs/doctor.md explains each finding.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text
from sqlalchemy import make_url

from gateway.cli.failures import ExitStatus, UsageInvalid
from gateway.cli.kept_secret_keys import FILE_NAME
from gateway.cli.operator_database import add_database_argument, database_url
from gateway.cli.own_address import LOOPBACK
from gateway.cli.own_postgres import LOGIN
from gateway.cli.plain_text import printable, say
from gateway.cli.server import ClientSettings
from gateway.doctor.checks import CHECKS, GATEWAY_CHECKS
from gateway.doctor.configuration import read_settings
from gateway.doctor.examination import examine
from gateway.doctor.finding import Level, Line, problem, skipped
from gateway.doctor.setup import Server, Setup
from gateway.embedded.postgres import EmbeddedPostgres, default_data_dir
from gateway.settings import SettingsInvalid
from workerapp.db.address import DatabaseAddress

_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red", Level.SKIPPED: "dim"}
_MEND_SETTINGS = "correct it in the environment or in .env; docs/settings.md lists all settings"
_PATIENCE = 15.0
_INDENT = 11


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_database_argument(parser)
    parser.add_argument(
        "--owner-url", metavar="URL", help="the database with the login that migrated, which sees more of it"
    )
    parser.add_argument("--up", action="store_true", help="look at the `gateway up` that runs on this machine")
    parser.add_argument("--data-dir", type=Path, metavar="PATH", help="the data folder of that `gateway up`")
    parser.add_argument("--gateway", metavar="URL", help="a running gateway, as its callers reach it")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help="an API key, to try a stream (default: GATEWAY_API_KEY, which nobody else sees)",
    )
    parser.add_argument(
        "--patience",
        type=_seconds,
        default=_PATIENCE,
        metavar="SECONDS",
        help=f"how long each check may take (default: {_PATIENCE:g})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, an object for each finding, one a line")


def execute(options: argparse.Namespace) -> int:
    """Examine, tell what is found as it is found, and count it."""
    show = _show_json if options.json else _show
    levels = []
    for line in _examine(options):
        show(line)
        levels.append(line.finding.level)
    if not options.json:
        print(_summary(levels))
    return ExitStatus.FAILED if Level.PROBLEM in levels else ExitStatus.OK


def _examine(options: argparse.Namespace) -> Iterator[Line]:
    try:
        setup = _setup(options)
    except SettingsInvalid as error:
        for sentence in error.sentences:
            yield Line(check="settings", finding=problem(sentence, _MEND_SETTINGS))
        yield Line(check="all others", finding=skipped("not looked at, because of: settings"))
        return
    yield from examine(setup, CHECKS if setup.server is None else CHECKS + GATEWAY_CHECKS)


def _setup(options: argparse.Namespace) -> Setup:
    folder = (options.data_dir or default_data_dir()).expanduser().resolve()
    given = _given_by_up(folder) if options.up else {}
    if options.database_url is not None:
        given |= {"database_url": database_url(options.database_url)}
    settings, worker = read_settings(**given)
    owner = EmbeddedPostgres(folder).address if options.up else options.owner_url
    return Setup(
        settings=settings,
        worker=worker,
        owner=None if owner is None else DatabaseAddress.parse(database_url(owner)),
        server=_server(options),
        data_dir=folder,
        kept_keys=folder / FILE_NAME,
        patience=options.patience,
    )


def _given_by_up(folder: Path) -> dict[str, str]:
    """The settings that `gateway up` gives its processes, beside those of the environment."""
    url = make_url(EmbeddedPostgres(folder).address).set(username=LOGIN).render_as_string(hide_password=False)
    given = dict.fromkeys(("DATABASE_URL", "BROKER_URL", "CELERY_RESULT_BACKEND"), url)
    settings, _ = read_settings(**given)
    keys = folder / FILE_NAME
    if not settings.outbound_allow:
        given["outbound_allow"] = LOOPBACK
    if not settings.secret_keys and keys.exists():
        given["secret_keys"] = keys.read_text().strip()
    return given


def _server(options: argparse.Namespace) -> Server | None:
    if options.gateway is None:
        return None
    if not options.gateway.startswith(("http://", "https://")):
        raise UsageInvalid(f"--gateway: {options.gateway!r} is no address; it looks like https://gateway.example.com")
    return Server(url=options.gateway.rstrip("/"), api_key=options.api_key or ClientSettings().api_key)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 600:  # noqa: PLR2004 - less is no patience, more is no examination
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 600")
    return seconds


def _show(line: Line) -> None:
    """For people: a line for each finding, and below it what is to be done."""
    finding, console = line.finding, Console(highlight=False, soft_wrap=True)
    text = Text.assemble(
        (f"{finding.level:<{_INDENT}}", _COLORS[finding.level]), f"{line.check:<14}", printable(finding.found)
    )
    console.print(text)
    if finding.mend:
        console.print(Text(f"{'':<{_INDENT}}→ {printable(finding.mend)}"))


def _show_json(line: Line) -> None:
    finding = line.finding
    say(json.dumps({"check": line.check, "level": finding.level, "found": finding.found, "mend": finding.mend or None}))


def _summary(levels: Iterable[Level]) -> str:
    found = list(levels)
    counts = [f"{found.count(level)} {name}" for level, name in _NAMES.items() if level in found]
    return f"{', '.join(counts)}." if counts else "Nothing is wrong."


_NAMES = {Level.PROBLEM: "problems", Level.WARNING: "warnings", Level.SKIPPED: "not looked at"}
