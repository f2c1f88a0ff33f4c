"""What the claims of a token mean is the operator's to say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gateway.auth.jwt_claims import Identity, identity_of
from gateway.auth.jwt_errors import OrganizationUnknown
from gateway.auth.jwt_issuer import JwtIssuer

ORGANIZATION = "0199f6a2-0fc7-7985-b437-5810807ba775"
CLAIMS: dict[str, Any] = {"exp": 1_800_000_000, "sub": "auth0|1", "organization_id": ORGANIZATION}


def identity(claims: dict[str, Any], **settings: Any) -> Identity:
    issuer = JwtIssuer.model_validate({"issuer": "https://id.example.com/", "audience": "gateway"} | settings)
    return identity_of(CLAIMS | claims, issuer)


def scopes(scope: Any, **settings: Any) -> set[str]:
    return set(identity({"scope": scope}, **settings).scopes)


def test_the_usual_claims_need_no_word() -> None:
    found = identity({"scope": "runs:read"})
    assert (found.organization, found.subject, found.user_id) == (ORGANIZATION, "auth0|1", None)
    assert found.scopes == {"runs:read"}


def test_a_subject_that_is_an_id_may_be_a_users() -> None:
    assert identity({"sub": ORGANIZATION}).user_id == UUID(ORGANIZATION)


def test_claims_may_have_namespaces_or_stand_in_others() -> None:
    named = {"organization_claim": "https://example.com/org", "organization_by": "name"}
    assert identity({"https://example.com/org": "acme"}, **named).organization == "acme"
    roles = {"realm_access": {"roles": ["tester", "offline_access"]}, "a/b": {"c~d": ["acme"]}}
    found = identity(
        roles,
        scope_claim="/realm_access/roles",
        scope_map={"tester": ["runs:read", "tasks:submit"]},
        organization_claim="/a~1b/c~0d",
    )
    assert (found.organization, found.scopes) == ("acme", {"runs:read", "tasks:submit"})


@pytest.mark.parametrize("claim", ["/realm_access/roles", "/realm_access/roles/0/x", "/", "roles"])
def test_a_claim_that_is_not_there_gives_no_scopes(claim: str) -> None:
    assert identity({"realm_access": 3}, scope_claim=claim).scopes == frozenset()


@pytest.mark.parametrize(
    "value", [None, 3, "", "x" * 201, "a\0b", "\ud800", ["acme", "other"], [], [["acme"]], {"acme": {}}, True]
)
def test_what_names_no_single_organization_is_refused(value: Any) -> None:
    with pytest.raises(OrganizationUnknown, match="no claim organization_id with the id of one organization"):
        identity({"organization_id": value})


def test_scopes_are_words_or_a_list_and_only_ours_count() -> None:
    assert scopes("openid runs:read email tasks:submit runs:read") == {"runs:read", "tasks:submit"}
    assert scopes(["runs:read", 3, None, "openid", ["runs:write"]]) == {"runs:read"}
    for nothing in (None, 3, "", "openid", {"runs:read": True}):
        assert scopes(nothing) == set()


def test_a_map_says_what_other_words_mean_and_may_take_ours_away() -> None:
    mapped = {"scope_map": {"viewer": "runs:read", "runs:write": []}}
    assert scopes("viewer runs:write tasks:submit", **mapped) == {"runs:read", "tasks:submit"}


def test_default_scopes_are_for_tokens_that_name_none() -> None:
    assert scopes("openid", default_scopes=["runs:read"]) == {"runs:read"}
    assert scopes("tasks:submit", default_scopes=["runs:read"]) == {"tasks:submit"}


def test_admin_is_given_only_where_it_is_allowed() -> None:
    assert scopes("admin runs:read") == {"runs:read"}
    assert scopes("admin", default_scopes=["runs:read"]) == {"runs:read"}
    assert scopes("admin runs:read", allow_admin=True) == {"admin", "runs:read"}


def test_a_token_is_good_for_the_skew_of_clocks_longer_and_not_beyond_the_calendar() -> None:
    assert identity({}).expires_at == datetime.fromtimestamp(1_800_000_030, UTC)
    assert identity({"exp": 1e300}).expires_at.year == 9999
