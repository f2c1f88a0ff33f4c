"""The header Authorization, and who is asking."""

from __future__ import annotations

from starlette.requests import Request

from gateway.auth.keys import KeyFinder, Scope
from gateway.errors import KeyInvalid, KeyMissing, ScopeMissing
from workerapp.contract.caller import Caller


async def authenticate(request: Request, keys: KeyFinder) -> Caller:
    """Who is asking.

    Raises:
        KeyMissing: there is no bearer token.
        KeyInvalid: nobody has this key any more, or ever had.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise KeyMissing('Send an API key in the header "Authorization: Bearer tsg_…".')
    caller = await keys.find(token.strip())
    if caller is None:
        raise KeyInvalid("The API key is unknown, expired or revoked; `gateway keys create` makes a new one.")
    return caller


def require(caller: Caller, scope: Scope) -> None:
    """Refuse callers whose key has other scopes."""
    if scope not in caller.scopes:
        held = ", ".join(sorted(caller.scopes)) or "none"
        raise ScopeMissing(f'This needs a key with the scope "{scope}"; yours has {held}.')
