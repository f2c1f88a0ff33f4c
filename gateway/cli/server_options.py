"""Which gateway a command talks to, and with which key: given as options, or in the environment and `.env`."""

from __future__ import annotations

import argparse

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.cli.client import GatewayClient, Patience
from gateway.cli.failures import UsageInvalid


class ClientSettings(BaseSettings):
    """Which server to talk to, read from the environment and `.env`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_file=".env", extra="ignore", frozen=True)

    url: str = ""
    api_key: str = Field(default="", repr=False)


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--server", metavar="URL", help="the gateway's address (default: GATEWAY_URL)")
    parser.add_argument(
        "--api-key", metavar="KEY", help="an API key (default: GATEWAY_API_KEY, which no process list shows)"
    )


def open_client(options: argparse.Namespace, patience: Patience) -> GatewayClient:
    """A client of that gateway.

    Raises:
        UsageInvalid: nothing says where it is, or with which key.
    """
    known = ClientSettings()
    server = _given(options.server or known.url, "--server", "GATEWAY_URL")
    key = _given(options.api_key or known.api_key, "--api-key", "GATEWAY_API_KEY")
    return GatewayClient(server, key, patience)


def _given(value: str, flag: str, variable: str) -> str:
    if not value:
        raise UsageInvalid(f"give {flag}, or set {variable} in the environment or in .env")
    return value
