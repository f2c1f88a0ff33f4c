"""How an endpoint is authenticated to: a bearer token, an API key, or OAuth 2.0 client credentials."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from workerapp.contract.headers import check_name, check_value
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.spec import Spec

AUTHORIZATION = "Authorization"
#: Which field of each kind is the secret.
SECRET_FIELDS = {"bearer": "token", "api_key": "value", "oauth2_client_credentials": "client_secret"}

_SHAPE_ONLY = OutboundPolicy.parse("0.0.0.0/0,::/0")


def _sendable(secret: str) -> str:
    check_value(AUTHORIZATION, secret)
    return secret


def _header_name(name: str) -> str:
    check_name(name)
    return name


def _callable(url: str) -> str:
    _SHAPE_ONLY.check_url(url)
    return url


CallableUrl: TypeAlias = Annotated[str, AfterValidator(_callable)]
Secret: TypeAlias = Annotated[str, Field(min_length=1, max_length=8000, repr=False), AfterValidator(_sendable)]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]


class BearerAuth(Spec):
    """Sent as `Authorization: Bearer …`."""

    type: Literal["bearer"]
    token: Secret

    @property
    def header(self) -> str:
        return AUTHORIZATION

    def headers(self) -> dict[str, str]:
        return {AUTHORIZATION: f"Bearer {self.token}"}


class ApiKeyAuth(Spec):
    """Sent in a header of its own."""

    type: Literal["api_key"]
    header: Annotated[str, AfterValidator(_header_name)] = "X-API-Key"
    value: Secret

    def headers(self) -> dict[str, str]:
        return {self.header: self.value}


class ClientCredentialsAuth(Spec):
    """A token is fetched (RFC 6749, section 4.4), and sent as `Authorization: Bearer …` until it expires."""

    type: Literal["oauth2_client_credentials"]
    token_url: CallableUrl
    client_id: Text
    client_secret: Secret
    #: In the Authorization header as the standard has it, or in the body, for servers that want it there.
    client_auth: Literal["basic", "body"] = "basic"
    scope: Text | None = None
    audience: Text | None = None

    @property
    def header(self) -> str:
        return AUTHORIZATION

    def headers(self) -> dict[str, str]:
        """Nothing is known before a token is fetched."""
        return {}


Auth: TypeAlias = Annotated[BearerAuth | ApiKeyAuth | ClientCredentialsAuth, Field(discriminator="type")]
