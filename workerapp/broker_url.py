"""Where the queue is: the whole database URL, as kombu hands it on, without a password where people can see it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from workerapp.db.address import DatabaseAddress


def take_address(client: Any) -> DatabaseAddress:
    """The address a kombu connection was made with.

    The connection keeps it with the password apart: Celery shows the rest of it to anybody who inspects a worker.
    """
    url = client.hostname or ""
    if not DatabaseAddress.names_postgres(url) and client.uri_prefix:
        url = f"{client.uri_prefix}+{url}"
    address = DatabaseAddress.parse(url)
    named = {"user": client.userid, "password": client.password}
    parameters = {key: value for key, value in named.items() if value} | dict(address.parameters)
    client.password = parameters.pop("password", None)
    client.hostname = _url(parameters)
    if client.password:
        parameters["password"] = client.password
    return DatabaseAddress(tuple(sorted(parameters.items())))


def with_password(address: DatabaseAddress) -> str:
    return _url(dict(address.parameters))


def _url(parameters: dict[str, str]) -> str:
    return "postgresql:///?" + urlencode(parameters)
