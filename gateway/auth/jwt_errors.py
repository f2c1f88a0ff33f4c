"""What is answered to a JSON Web Token that is not accepted (RFC 6750), and why."""

from __future__ import annotations

from gateway.errors import ApiError, Unauthorized, Unavailable


class JwtInvalid(Unauthorized):
    """The token is not one that this server accepts."""

    code, title = "jwt_invalid", "The token is not accepted"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, f'Bearer error="invalid_token", error_description="{_quotable(detail)}"')


class JwtExpired(JwtInvalid):
    """The token's time is over."""

    code, title = "jwt_expired", "The token has expired"


class OrganizationUnknown(ApiError):
    """The token is good, and says of no organization of this server that it is its holder's."""

    status, code, title = 403, "organization_unknown", "The token names no organization of this server"


class IssuerUnavailable(Unavailable):
    """The keys that would check the token are not known, and its issuer does not answer."""

    code, title = "issuer_unavailable", "The identity provider is unavailable"


def _quotable(text: str) -> str:
    """The characters that RFC 6750 lets stand between the quotes."""
    return "".join(one for one in text.replace('"', "'") if " " <= one <= "~" and one != "\\")
