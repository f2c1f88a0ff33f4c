"""Receive webhooks on this machine, verify and print them: for development.

Each is printed: a line for people on a terminal, a line of JSON where a program reads or with --json. What is genuine
is answered with 204 (or --status), anything else with 400 and the reason. Without a secret nothing is verified.

With any of --server, --api-key, --events and --url this address is registered as a webhook endpoint at a gateway,
which makes the secret, and removed at the end (Ctrl-C). The gateway must be allowed to call it: GATEWAY_OUTBOUND_ALLOW
has the loopback addresses, as it does with `gateway up` and `gateway demo`, or --url names an address that is public.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.cli.failures import CommandFailed, ExitStatus, UsageInvalid
from gateway.cli.own_address import add_address_arguments, own_url
from gateway.cli.plain_text import say
from gateway.cli.received import Received, as_json, as_line
from gateway.cli.server import add_access_arguments, talking
from gateway.cli.stop_signals import STOP_REQUESTS
from gateway.cli.webhook_receiver import receiver, serving
from gateway.cli.webhook_registration import registered
from gateway.client import Patience
from gateway.stream.server import PortUnavailable, listen
from workerapp.contract.webhook_signing import SecretInvalid, read_secret

DEFAULT_PORT, DEFAULT_STATUS = 8990, 204
_PATIENCE = Patience(answer=15, outage=5)


class ListenSettings(BaseSettings):
    """What deliveries are verified with, read from the environment and `.env`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_file=".env", extra="ignore", frozen=True)

    webhook_secret: str = Field(default="", repr=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_address_arguments(parser, DEFAULT_PORT)
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument(
        "--secret", metavar="whsec_…", help="the secret (default: GATEWAY_WEBHOOK_SECRET, which no process list shows)"
    )
    secret.add_argument("--secret-file", type=Path, metavar="PATH", help="a file with the secret")
    parser.add_argument(
        "--status",
        type=_status,
        default=DEFAULT_STATUS,
        metavar="N",
        help=f"answer genuine deliveries with this status, to try retries (default: {DEFAULT_STATUS})",
    )
    parser.add_argument("--json", action="store_true", help="print lines of JSON on a terminal too")
    add_access_arguments(parser)
    parser.add_argument(
        "--events",
        type=_patterns,
        default=(),
        metavar="TYPE,…",
        help="what to be told of, patterns such as task.* among it (default: test_run.*, run_group.*)",
    )
    parser.add_argument(
        "--url", help="the address to register, if the gateway reaches this one by another, such as a tunnel's"
    )


def execute(options: argparse.Namespace) -> int:
    """Listen until asked to stop."""
    secret = None if _is_registering(options) else _known_secret(options)
    try:
        listener = listen(options.host, options.port)
    except (PortUnavailable, OverflowError) as error:
        raise CommandFailed(str(error)) from error
    with closing(listener):
        asyncio.run(_receive(options, listener, secret))
    return ExitStatus.OK


async def _receive(options: argparse.Namespace, listener: socket.socket, secret: str | None) -> None:
    ended = _end()
    url = own_url(options.host, listener)
    async with _endpoint(options, url, secret) as known:
        app = receiver(known, options.status, _printer(ended, as_lines_of_json=options.json or not sys.stdout.isatty()))
        # What was sent meanwhile waits in the socket, until its secret is known.
        async with serving(app, listener):
            unverified = "" if known else " There is no secret, so nothing is verified."
            print(f"Listening on {url} until Ctrl-C.{unverified}", file=sys.stderr, flush=True)
            await ended


@asynccontextmanager
async def _endpoint(options: argparse.Namespace, url: str, secret: str | None) -> AsyncIterator[str | None]:
    """Where a gateway is to know this address, it does within the block. Yields what deliveries are verified with."""
    if not _is_registering(options):
        yield secret
        return
    with talking(options, _PATIENCE) as client:
        async with registered(client, options.url or url, options.events) as registration:
            print(f"Registered as webhook endpoint {registration.id}.", file=sys.stderr, flush=True)
            yield registration.secret


def _end() -> asyncio.Future[None]:
    """Is over when somebody asks the process to stop; who asks twice does not want to wait for anything."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            os._exit(ExitStatus.INTERRUPTED)
        if not ended.done():
            ended.set_result(None)

    for number in STOP_REQUESTS:
        loop.add_signal_handler(number, ask)
    return ended


def _printer(ended: asyncio.Future[None], *, as_lines_of_json: bool) -> Callable[[Received, int], None]:
    """Prints what arrives; nobody to read it is the end."""

    def tell(received: Received, answer: int) -> None:
        width = shutil.get_terminal_size().columns
        try:
            say(as_json(received, answer) if as_lines_of_json else as_line(received, answer, width))
        except BrokenPipeError as error:
            if not ended.done():
                ended.set_exception(error)

    return tell


def _is_registering(options: argparse.Namespace) -> bool:
    wanted = any((options.server, options.api_key, options.events, options.url))
    if wanted and (options.secret or options.secret_file):
        raise UsageInvalid("the gateway makes the secret of what is registered; leave out --secret and --secret-file")
    return wanted


def _known_secret(options: argparse.Namespace) -> str | None:
    secret = options.secret or (_read_file(options.secret_file) if options.secret_file else "")
    secret = secret or ListenSettings().webhook_secret
    if not secret:
        return None
    try:
        read_secret(secret)
    except SecretInvalid as error:
        raise UsageInvalid("the secret looks like whsec_…, as it was shown when the endpoint was made") from error
    return secret


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageInvalid(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error


def _status(text: str) -> int:
    status = int(text)
    if not 200 <= status <= 599:  # noqa: PLR2004 - those that end a request
        raise argparse.ArgumentTypeError(f"{text} is no status to end a request with; 200 to 599 are")
    return status


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
