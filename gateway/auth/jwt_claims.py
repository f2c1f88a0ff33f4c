"""What the claims of a verified token mean here: whose it is, and what its holder may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gateway.auth.jwt_errors import OrganizationUnknown
from gateway.auth.jwt_issuer import JwtIssuer
from gateway.auth.jwt_verification import Claims
from gateway.auth.keys import Scope

#: As long as the name of an organization may be.
_LONGEST = 200
#: The last day of the calendar, as a Unix time.
_END_OF_TIME = datetime.max.replace(tzinfo=UTC).timestamp() - 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who holds a token, in the words of its issuer."""

    #: The id or the name of an organization that may not exist.
    organization: str
    #: Who that is to the issuer, for logs.
    subject: str | None
    #: The id of a user that may not exist.
    user_id: UUID | None
    scopes: frozenset[str]
    #: From when on the token is refused.
    expires_at: datetime


def identity_of(claims: Claims, issuer: JwtIssuer) -> Identity:
    """Read the claims that the operator has named.

    Raises:
        OrganizationUnknown: there is no claim that could name one.
    """
    user = _text(_claim(claims, issuer.user_claim))
    return Identity(
        organization=_organization(claims, issuer),
        subject=user,
        user_id=as_uuid(user),
        scopes=_scopes(_words(_claim(claims, issuer.scope_claim)), issuer),
        expires_at=datetime.fromtimestamp(min(claims["exp"] + issuer.clock_skew_seconds, _END_OF_TIME), UTC),
    )


def as_uuid(text: str | None) -> UUID | None:
    """The text as an id, if it is one."""
    try:
        return UUID(text)
    except (ValueError, TypeError):
        return None


def _organization(claims: Claims, issuer: JwtIssuer) -> str:
    value = _claim(claims, issuer.organization_claim)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    text = _text(value)
    if text is None:
        raise OrganizationUnknown(
            f"The token has no claim {issuer.organization_claim} with the {issuer.organization_by} of one organization."
        )
    return text


def _scopes(words: Iterable[str], issuer: JwtIssuer) -> frozenset[str]:
    known = {str(scope): (scope,) for scope in Scope} | issuer.scope_map
    named = {str(scope) for word in words for scope in known.get(word, ())}
    if not issuer.allow_admin:
        named.discard(Scope.ADMIN)
    return frozenset(named or map(str, issuer.default_scopes))


def _words(value: Any) -> list[str]:
    """A list of texts, or a text with spaces between its words."""
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _claim(claims: Claims, name: str) -> Any:
    """A claim by its name, or by a JSON pointer (RFC 6901)."""
    if not name.startswith("/"):
        return claims.get(name)
    value: Any = claims
    for part in name[1:].split("/"):
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    """A text that a database can hold."""
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST or "\0" in value:
        return None
    return None if any("\ud800" <= one <= "\udfff" for one in value) else value
