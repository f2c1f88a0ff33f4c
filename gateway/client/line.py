"""A server and a key: checked, and never shown."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Any, TypedDict, TypeVar

import httpx
from pydantic import ValidationError

from gateway.client.calls import Call
from gateway.client.errors import AddressInvalid, RequestRefused, error_of, foreign
from gateway.client.models import Model
from gateway.client.patience import Contact, Patience

_CONNECT = 10.0
#: The server lets a silent stream hear something every 15 seconds, and may be silent for twice that.
SILENCE = 40.0

_Answer = TypeVar("_Answer", bound=Model)


class HttpOptions(TypedDict):
    """What both kinds of httpx's clients are made with."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    trust_env: bool


class Line:
    """What a client has besides its connections.

    Raises:
        AddressInvalid: the address is not one of a server, or the key has characters that none has.
    """

    def __init__(self, server: str | None, api_key: str | None, patience: Patience) -> None:
        self.server = _checked_server(server or os.environ.get("GATEWAY_URL", ""))
        self._key = _checked_key(api_key or os.environ.get("GATEWAY_API_KEY", ""))
        self.patience = patience
        self.contact = Contact()

    def http_options(self) -> HttpOptions:
        """How to connect."""
        return {
            "base_url": self.server,
            "headers": {"Authorization": f"Bearer {self._key}", "User-Agent": "task-status-gateway-client"},
            "timeout": httpx.Timeout(self.patience.answer, connect=_CONNECT),
            # A proxy is for the world outside.
            "trust_env": not _is_this_machine(httpx.URL(self.server).host),
        }

    def stream_timeout(self) -> httpx.Timeout:
        """How long a stream may be silent."""
        return httpx.Timeout(self.patience.answer, connect=_CONNECT, read=SILENCE)

    def read(self, call: Call[_Answer], response: httpx.Response) -> _Answer:
        """What was answered.

        Raises:
            GatewayError: a problem, or nothing that a gateway answers.
        """
        if not response.is_success:
            failure = error_of(response)
            self.contact.was_reached |= isinstance(failure, RequestRefused)
            raise failure
        try:
            is_empty = response.status_code == httpx.codes.NO_CONTENT
            answer = call.answer.model_validate_json(b"{}" if is_empty else response.content)
        except ValidationError as error:
            raise foreign(response) from error
        self.contact.was_reached = True
        return answer


def request_options(call: Call[Any]) -> dict[str, Any]:
    """What to ask with, as httpx takes it."""
    options: dict[str, Any] = {"params": call.parameters, "headers": dict(call.headers)}
    if call.body is not None:
        options["json"] = call.body
    if call.seconds is not None:
        options["timeout"] = httpx.Timeout(call.seconds, connect=_CONNECT)
    return options


def _checked_server(server: str) -> str:
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise AddressInvalid(f"{server!r} is not the address of a server: {error}") from error
    if url.userinfo:
        raise AddressInvalid("the server's address has a name or password in it; the API key is given by itself")
    if url.scheme not in {"http", "https"} or not url.host:
        raise AddressInvalid(f"{server!r} is not the address of a server; it looks like http://127.0.0.1:8080")
    return server.rstrip("/")


def _checked_key(key: str) -> str:
    if not key or not (key.isascii() and key.isprintable() and key.strip() == key):
        raise AddressInvalid("the API key is missing or has characters that no key has; it looks like tsg_…")
    return key


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
