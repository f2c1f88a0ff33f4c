"""The gateway that a command talks to over REST, and what goes wrong with it as a sentence and an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.cli.arguments import seconds
from gateway.cli.failures import CommandFailed, ServerUnreachable, UsageInvalid
from gateway.client import (
    AddressInvalid,
    GatewayError,
    Patience,
    RateLimited,
    RequestRefused,
    ServerFailed,
    SyncGatewayClient,
    Unavailable,
    WaitTimedOut,
)


class ClientSettings(BaseSettings):
    """Which server to talk to, read from the environment and `.env`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_file=".env", extra="ignore", frozen=True)

    url: str = ""
    api_key: str = Field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """Where, as whom, and how long it may be away."""

    url: str
    api_key: str
    patience: Patience

    def __repr__(self) -> str:
        return f"<Server {self.url}>"


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every such command."""
    add_access_arguments(parser)
    parser.add_argument(
        "--patience",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long a server that was there may be away (default: 60)",
    )


def add_access_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where the server is, and who asks."""
    parser.add_argument("--server", metavar="URL", help="the gateway's address (default: GATEWAY_URL)")
    parser.add_argument(
        "--api-key", metavar="KEY", help="an API key (default: GATEWAY_API_KEY, which no process list shows)"
    )


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Declare how to print for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line, on a terminal too")


def prints_json(options: argparse.Namespace) -> bool:
    """Whether a program reads: it says so, or there is no terminal."""
    return options.json or not sys.stdout.isatty()


def read_server(options: argparse.Namespace, patience: Patience | None = None) -> Server:
    """The server of the options, else of the environment.

    Raises:
        UsageInvalid: there is none.
    """
    known = ClientSettings()
    url = _given(options.server or known.url, "--server", "GATEWAY_URL")
    key = _given(options.api_key or known.api_key, "--api-key", "GATEWAY_API_KEY")
    return Server(url, key, patience or Patience(outage=options.patience))


@contextmanager
def talking(options: argparse.Namespace, patience: Patience | None = None) -> Iterator[SyncGatewayClient]:
    """A client of the server, with the options' patience if no other is given.

    Raises:
        CommandFailed: what the client cannot do.
    """
    server = read_server(options, patience)
    with telling(), SyncGatewayClient(server.url, server.api_key, patience=server.patience) as client:
        yield client


@contextmanager
def telling() -> Iterator[None]:
    """What goes wrong with a client within the block, as a failure of the command."""
    try:
        yield
    except GatewayError as error:
        raise failure_of(error) from error


def failure_of(error: GatewayError) -> CommandFailed:
    """The same as a failure of the command."""
    match error:
        case RateLimited() | Unavailable() | ServerFailed():
            return ServerUnreachable(f"the server could not do this ({error.code}): {error}")
        case RequestRefused():
            return UsageInvalid(f"the server refused this ({error.code}): {error}")
        case AddressInvalid():
            return UsageInvalid(str(error))
        case WaitTimedOut():
            return CommandFailed(str(error))
        case _:
            return ServerUnreachable(str(error))


def _given(value: str, flag: str, variable: str) -> str:
    if not value:
        raise UsageInvalid(f"give {flag}, or set {variable} in the environment or in .env")
    return value
