"""Whether a JSON Web Token is good: its signature, its issuer and audience, and its times (RFC 7519, 8725, 9068)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import jwt
from jwt import PyJWK

from gateway.auth.jwt_errors import JwtExpired, JwtInvalid
from gateway.auth.jwt_issuer import JwtIssuer

Claims: TypeAlias = dict[str, Any]

#: What `typ` may be, without `application/`; it need not be there.
_TYPES = frozenset({"jwt", "at+jwt"})
_NEEDED = ["exp", "iss", "aud"]
_SEPARATORS = 2
_LONGEST_NAME = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenHead:
    """What a token says of itself; nothing of it is proven."""

    issuer: object
    algorithm: object
    key_id: str | None


def is_jwt(credential: str) -> bool:
    """Whether it looks like a signed token: three parts with dots between them."""
    return credential.count(".") == _SEPARATORS


def read_head(token: str) -> TokenHead:
    """What is needed to find the key that checks a token.

    Raises:
        JwtInvalid: it is no token, or one of another kind.
    """
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise JwtInvalid("The token cannot be read; it should be a signed JSON Web Token (RFC 7519).") from None
    header = parts["header"]
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise JwtInvalid("The token's type (typ) is not that of an access token, which is at+jwt or JWT.")
    if "crit" in header:
        raise JwtInvalid("The token has a critical extension (crit); none is known here.")
    return TokenHead(issuer=parts["payload"].get("iss"), algorithm=header.get("alg"), key_id=header.get("kid"))


def accepted_algorithm(head: TokenHead, issuer: JwtIssuer) -> str:
    """The algorithm of a token.

    Raises:
        JwtInvalid: it is not one that the operator accepts from this issuer.
    """
    for name in issuer.algorithms:
        if head.algorithm == name:
            return name
    accepted = f"accepted are {', '.join(issuer.algorithms)}"
    if not isinstance(head.algorithm, str) or head.algorithm.lower() == "none":
        raise JwtInvalid(f"The token is not signed (alg none); {accepted}.")
    raise JwtInvalid(f"The token is signed with {head.algorithm[:_LONGEST_NAME]}; {accepted}.")


def verify(token: str, issuer: JwtIssuer, key: PyJWK) -> Claims:
    """The claims of a token that this key has signed, and that is for us and now.

    Raises:
        JwtInvalid: it is not.
    """
    try:
        claims: Claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=issuer.clock_skew_seconds,
            options={"require": _NEEDED, "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError as error:
        raise _refusal(error, issuer) from None
    if not all(_is_time(claims[name]) for name in ("exp", "nbf", "iat") if name in claims):
        raise JwtInvalid("The token's times (exp, nbf, iat) are not all numbers.")
    return claims


def _refusal(error: jwt.PyJWTError, issuer: JwtIssuer) -> JwtInvalid:
    """In our own words, which tell nothing that the holder of the token may not know."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return JwtExpired("The token has expired (exp); get a new one from its issuer.")
    if isinstance(error, jwt.ImmatureSignatureError):
        return JwtInvalid("The token is not good yet (nbf, iat); perhaps a clock is wrong.")
    if isinstance(error, jwt.InvalidAudienceError):
        return JwtInvalid(f"The token is for another audience (aud); this server's is {' or '.join(issuer.audience)}.")
    if isinstance(error, jwt.MissingRequiredClaimError):
        return JwtInvalid(f"The token lacks the claim {error.claim}.")
    if isinstance(error, jwt.InvalidSignatureError):
        return JwtInvalid("The token's signature is wrong: the key that it names has not signed it.")
    return JwtInvalid("The token cannot be verified; its header or its claims are not as RFC 7519 has them.")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
