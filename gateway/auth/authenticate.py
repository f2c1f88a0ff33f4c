"""The header Authorization, and who is asking."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from gateway.auth import stream_token
from gateway.auth.key_finder import KeyFinder
from gateway.auth.keys import Scope
from gateway.errors import KeyInvalid, KeyMissing, ScopeMissing, StreamTokenRefused
from workerapp.contract.caller import Caller


async def authenticate(connection: HTTPConnection, keys: KeyFinder) -> Caller:
    """Who is asking.

    Raises:
        KeyMissing: there is no bearer token.
        KeyInvalid: nobody has this key any more, or ever had.
        StreamTokenRefused: it is a stream token.
    """
    key = bearer_of(connection)
    if key is None:
        raise KeyMissing('Send an API key in the header "Authorization: Bearer tsg_…".')
    if key.startswith(stream_token.MARK):
        raise StreamTokenRefused("A stream token opens streams only; this needs an API key (tsg_…).")
    return await find_caller(key, keys)


def bearer_of(connection: HTTPConnection) -> str | None:
    """What stands behind `Bearer` in the header Authorization."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


async def find_caller(key: str, keys: KeyFinder) -> Caller:
    """Whose API key it is.

    Raises:
        KeyInvalid: nobody has this key any more, or ever had.
    """
    caller = await keys.find(key)
    if caller is None:
        raise KeyInvalid("The API key is unknown, expired or revoked; `gateway keys create` makes a new one.")
    return caller


def require(caller: Caller, scope: Scope) -> None:
    """Refuse callers whose key has other scopes."""
    if scope not in caller.scopes:
        held = ", ".join(sorted(caller.scopes)) or "none"
        raise ScopeMissing(f'This needs a key with the scope "{scope}"; yours has {held}.')
