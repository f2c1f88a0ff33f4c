"""What an operator says about an identity provider: whose tokens are accepted, and what their claims mean."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from gateway.auth.keys import Scope

#: A signature that everybody can check and only the issuer can make; with a shared secret, or none, both could.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
DEFAULT_ALGORITHMS = ("RS256", "ES256", "EdDSA")

MAX_ISSUERS = 100


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]
#: In the JSON: one text, or a list.
_Texts: TypeAlias = Annotated[tuple[_Text, ...], BeforeValidator(_listed), Field(min_length=1)]
_Scopes: TypeAlias = Annotated[tuple[Scope, ...], BeforeValidator(_listed)]


class JwtIssuer(BaseModel):
    """One identity provider.

    A claim is named as it stands in the token, whatever characters that are; a name that begins with `/` is a JSON
    pointer, for claims within claims.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What `iss` must be, to the letter.
    issuer: _Text
    #: One of these must be in `aud`.
    audience: _Texts
    #: Where its keys are; if not given, its discovery document says so.
    jwks_url: _Text | None = None
    algorithms: _Texts = DEFAULT_ALGORITHMS
    #: How far its clock and ours may differ.
    clock_skew_seconds: float = Field(default=30, ge=0, le=600)

    organization_claim: _Text = "organization_id"
    organization_by: Literal["id", "name"] = "id"
    user_claim: _Text = "sub"
    scope_claim: _Text = "scope"
    #: What its words for scopes, roles or groups mean here; those that are not listed mean the scope of that name.
    scope_map: dict[str, _Scopes] = {}
    #: The scopes of a token that names none of ours.
    default_scopes: _Scopes = ()
    #: Whether its tokens may have the scope `admin`, which crosses organizations.
    allow_admin: bool = False
    #: Whether the issuer and its keys may be at `http://` addresses other than this machine's own.
    allow_http: bool = False

    @property
    def discovery_url(self) -> str:
        """Where OpenID Connect Discovery 1.0 has the document of this issuer."""
        return f"{self.issuer.removesuffix('/')}/.well-known/openid-configuration"

    def check_url(self, url: str) -> None:
        """Refuse what anybody on the way could answer for the issuer.

        Raises:
            ValueError: the URL is none, or not one of TLS.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'"{url}" is no URL; it should be like https://id.example.com/')
        if parts.scheme == "http" and not self.allow_http and not _is_this_machine(parts.hostname):
            raise ValueError(
                f'"{url}" should begin with https://, or anybody on the way could forge tokens; "allow_http": true'
                " accepts that"
            )

    @field_validator("algorithms")
    @classmethod
    def _are_asymmetric(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in algorithms if name not in ALGORITHMS]:
            raise ValueError(
                f"{', '.join(unknown)} is not possible; each should be one of {', '.join(ALGORITHMS)}. Signatures with"
                " a shared secret (HS256, …) and none at all are never accepted"
            )
        return algorithms

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        for url in (self.issuer, self.jwks_url):
            if url is not None:
                self.check_url(url)
        return self

    @model_validator(mode="after")
    def _gives_admin_knowingly(self) -> Self:
        given = {scope for scopes in (*self.scope_map.values(), self.default_scopes) for scope in scopes}
        if Scope.ADMIN in given and not self.allow_admin:
            raise ValueError('the scope "admin" crosses organizations; to give it, set "allow_admin": true')
        return self


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_EXAMPLE = '[{"issuer": "https://id.example.com/", "audience": "gateway"}]'


def _parse(value: Any) -> Any:
    """In the environment the issuers are JSON; one may stand there without a list."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error}); it should be like {_EXAMPLE}") from None
    return [parsed] if isinstance(parsed, dict) else parsed


def _differ(issuers: tuple[JwtIssuer, ...]) -> tuple[JwtIssuer, ...]:
    names = [one.issuer for one in issuers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} is there twice; give all of its audiences in one place")
    return issuers


JwtIssuers: TypeAlias = Annotated[
    tuple[JwtIssuer, ...], NoDecode, BeforeValidator(_parse), AfterValidator(_differ), Field(max_length=MAX_ISSUERS)
]
