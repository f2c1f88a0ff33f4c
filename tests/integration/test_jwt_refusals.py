"""Tokens of identity providers that are refused, and what is said of them."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.token_holders import ES, RS, refusal
from tests.rest import Gateway, Tenant
from tests.stack.identity_provider import IdentityProvider, signing_key, unsigned

STRANGER = signing_key("stranger")

Forge: TypeAlias = Callable[[IdentityProvider, dict[str, Any]], str]


def challenge_of(response: httpx.Response) -> str:
    return response.headers["www-authenticate"]


def with_public_key_as_secret(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    """What a server falls for that takes the algorithm from the token and the key from the issuer."""
    secret = RS.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = unsigned(claims, alg="HS256", kid=RS.id).split(".")
    mac = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def with_other_claims(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    head, _, signature = ES.sign(claims).split(".")
    body = unsigned(claims | {"organization_id": str(uuid4())}).split(".")[1]
    return f"{head}.{body}.{signature}"


def signed(**others: Any) -> Forge:
    """A token with other claims."""
    return lambda _, claims: ES.sign({name: value for name, value in (claims | others).items() if value is not None})


def headed(**header: Any) -> Forge:
    """A token with another header."""
    return lambda _, claims: ES.sign(claims, **header)


NOW = int(time.time())
REFUSED: dict[str, tuple[Forge, str, str]] = {
    "expired": (signed(exp=NOW - 3600), "jwt_expired", "has expired"),
    "not yet valid": (signed(nbf=NOW + 3600), "jwt_invalid", "not good yet"),
    "from the future": (signed(iat=NOW + 3600), "jwt_invalid", "not good yet"),
    "for ever": (signed(exp=None), "jwt_invalid", "lacks the claim exp"),
    "infinite": (signed(exp=float("inf")), "jwt_invalid", "cannot be verified"),
    "with a time that is text": (signed(exp=str(NOW + 3600)), "jwt_invalid", "not all numbers"),
    "with a time that is no time": (signed(nbf="now"), "jwt_invalid", "cannot be verified"),
    "with a subject that is no text": (signed(sub=3), "jwt_invalid", "cannot be verified"),
    "for somebody else": (signed(aud="other"), "jwt_invalid", "another audience (aud); this server's is gateway"),
    "for nobody": (signed(aud=None), "jwt_invalid", "lacks the claim aud"),
    "of an unknown issuer": (signed(iss="https://evil.example.com/"), "jwt_invalid", "issuer (iss) is none"),
    "of an issuer by a similar name": (
        lambda provider, claims: ES.sign(claims | {"iss": provider.url}),
        "jwt_invalid",
        "issuer (iss) is none",
    ),
    "of no issuer": (signed(iss=None), "jwt_invalid", "issuer (iss) is none"),
    "of several issuers": (
        lambda provider, claims: unsigned(claims | {"iss": [provider.issuer]}, alg="ES256"),
        "jwt_invalid",
        "issuer (iss) is none",
    ),
    "unsigned": (lambda _, claims: unsigned(claims), "jwt_invalid", "not signed (alg none)"),
    "unsigned in capitals": (lambda _, claims: unsigned(claims, alg="NONE"), "jwt_invalid", "not signed (alg none)"),
    "of no algorithm": (lambda _, claims: unsigned(claims, alg=None), "jwt_invalid", "not signed (alg none)"),
    "with the public key as secret": (with_public_key_as_secret, "jwt_invalid", "signed with HS256"),
    "of an algorithm that was not named": (
        lambda _, claims: signing_key("es3", "ES384").sign(claims),
        "jwt_invalid",
        "signed with ES384; accepted are RS256, ES256, EdDSA",
    ),
    "of a stranger": (lambda _, claims: STRANGER.sign(claims), "jwt_invalid", "does not publish"),
    "of a stranger under a known name": (
        lambda _, claims: replace(STRANGER, id=ES.id).sign(claims),
        "jwt_invalid",
        "signature is wrong",
    ),
    "with a key of another kind": (headed(kid=RS.id), "jwt_invalid", "not one for its algorithm"),
    "with changed claims": (with_other_claims, "jwt_invalid", "signature is wrong"),
    "without its signature": (
        lambda _, claims: ES.sign(claims).rpartition(".")[0] + ".",
        "jwt_invalid",
        "signature is wrong",
    ),
    "with a key id that is no text": (lambda _, claims: unsigned(claims, kid=3), "jwt_invalid", "cannot be read"),
    "with a critical extension": (headed(crit=["exp"], exp=1), "jwt_invalid", "cannot be read"),
    "with an extension that libraries know": (
        lambda _, claims: unsigned(claims, alg="ES256", b64=True, crit=["b64"]),
        "jwt_invalid",
        "critical extension (crit)",
    ),
    "with a payload elsewhere": (headed(b64=False, crit=["b64"]), "jwt_invalid", "cannot be read"),
    "of another type": (headed(typ="logout+jwt"), "jwt_invalid", "type (typ)"),
    "too long": (signed(padding="x" * 9000), "jwt_invalid", "longer than 8192 bytes"),
    "of no parts": (lambda *_: "..", "jwt_invalid", "cannot be read"),
    "of no base64": (lambda *_: "a!.b!.c!", "jwt_invalid", "cannot be read"),
    "of no JSON": (lambda *_: "YQ.YQ.YQ", "jwt_invalid", "cannot be read"),
    "of no objects": (lambda *_: "W10.W10.W10", "jwt_invalid", "cannot be read"),
    "of two parts": (lambda _, claims: ES.sign(claims).rpartition(".")[0], "key_invalid", "unknown"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_token_is_refused_and_it_is_said_why(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant, case: str
) -> None:
    forge, code, why = REFUSED[case]
    refused = await refusal(trusting, forge(provider, provider.claims(tenant.organization_id)))
    assert (refused.status_code, refused.json()["code"]) == (401, code)
    assert why in refused.json()["detail"]
    if code != "key_invalid":
        start = 'Bearer error="invalid_token", error_description="'
        assert challenge_of(refused).startswith(start)
        assert challenge_of(refused).removeprefix(start).count('"') == 1


async def test_a_key_that_is_embedded_in_a_token_or_pointed_to_is_not_used(
    trusting: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    claims, jwk = provider.claims(tenant.organization_id), STRANGER.as_jwk()
    for header in ({"jwk": jwk}, {"jku": f"{provider.url}/evil"}, {"x5u": f"{provider.url}/evil"}):
        refused = await refusal(trusting, STRANGER.sign(claims, **header))
        assert "does not publish" in refused.json()["detail"]
    assert "/evil" not in provider.asked


@pytest.mark.parametrize(
    ("claims", "what"),
    [
        ({"organization_id": str(uuid4())}, "There is no organization with the id"),
        ({"organization_id": "acme"}, "There is no organization with the id"),
        ({"organization_id": None}, "no claim organization_id"),
    ],
)
async def test_a_good_token_for_an_organization_that_is_not_here_is_told_so(
    trusting: Gateway, provider: IdentityProvider, claims: dict[str, Any], what: str
) -> None:
    refused = await refusal(trusting, provider.token(uuid4(), **claims))
    assert (refused.status_code, refused.json()["code"]) == (403, "organization_unknown")
    assert what in refused.json()["detail"]


async def test_a_server_without_issuers_says_that_it_accepts_no_tokens(
    served: Gateway, provider: IdentityProvider, tenant: Tenant
) -> None:
    refused = await refusal(served, provider.token(tenant.organization_id))
    assert (refused.status_code, refused.json()["code"]) == (401, "jwt_invalid")
    assert "accepts no JSON Web Tokens" in refused.json()["detail"]


async def test_a_token_in_a_url_opens_nothing(trusting: Gateway, provider: IdentityProvider, tenant: Tenant) -> None:
    async with trusting.client() as anyone:
        refused = await anyone.get("/v1/events", params={"token": provider.token(tenant.organization_id)})
        assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
