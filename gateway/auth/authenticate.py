"""The header Authorization, and who is asking."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from gateway.auth import stream_token
from gateway.auth.jwt_verification import is_jwt
from gateway.auth.keys import MARK, Scope
from gateway.errors import KeyInvalid, KeyMissing, ScopeMissing, StreamTokenRefused
from gateway.services import Services
from workerapp.contract.caller import Caller


async def authenticate(connection: HTTPConnection, services: Services) -> Caller:
    """Who is asking.

    Raises:
        KeyMissing: there is no bearer token.
        KeyInvalid: nobody has this key any more, or ever had.
        StreamTokenRefused: it is a stream token.
        JwtInvalid, OrganizationUnknown, IssuerUnavailable: the identity provider's token is not good, or not here.
    """
    credential = bearer_of(connection)
    if credential is None:
        raise KeyMissing('Send an API key in the header "Authorization: Bearer tsg_…".')
    if credential.startswith(stream_token.MARK):
        raise StreamTokenRefused("A stream token opens streams only; this needs an API key (tsg_…).")
    return await find_caller(credential, services)


def bearer_of(connection: HTTPConnection) -> str | None:
    """What stands behind `Bearer` in the header Authorization."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


async def find_caller(credential: str, services: Services) -> Caller:
    """Whose API key it is, or whose token of an identity provider.

    Raises:
        KeyInvalid: nobody has this key any more, or ever had.
        JwtInvalid, OrganizationUnknown, IssuerUnavailable: the identity provider's token is not good, or not here.
    """
    if not credential.startswith(MARK) and is_jwt(credential):
        return await services.jwts.find(credential)
    caller = await services.keys.find(credential)
    if caller is None:
        raise KeyInvalid("The API key is unknown, expired or revoked; `gateway keys create` makes a new one.")
    return caller


def require(caller: Caller, scope: Scope) -> None:
    """Refuse callers whose key has other scopes."""
    if scope not in caller.scopes:
        held = ", ".join(sorted(caller.scopes)) or "none"
        raise ScopeMissing(f'This needs a key with the scope "{scope}"; yours has {held}.')
