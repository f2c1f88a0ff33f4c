"""What an operator says of an identity provider is checked at the start, and what is wrong is said in sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.jwt_issuer import JwtIssuer
from gateway.auth.keys import Scope
from gateway.settings import load_gateway_settings
from tests.stack.process import ROOT
from workerapp.settings import SettingsInvalid

URL = "postgresql://gateway:pw@db.example.com:5433/tests"
ISSUER = {"issuer": "https://id.example.com/", "audience": "gateway"}


@pytest.fixture(autouse=True)
def _no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def issuers(monkeypatch: pytest.MonkeyPatch, value: Any) -> tuple[JwtIssuer, ...]:
    """As they are read from the environment."""
    monkeypatch.setenv("GATEWAY_JWT_ISSUERS", value if isinstance(value, str) else json.dumps(value))
    return load_gateway_settings(database_url=URL).jwt_issuers


def test_without_a_word_no_tokens_are_accepted() -> None:
    assert load_gateway_settings(database_url=URL).jwt_issuers == ()


def test_an_issuer_and_an_audience_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    (issuer,) = issuers(monkeypatch, [ISSUER])
    assert issuer.audience == ("gateway",)
    assert issuer.algorithms == ("RS256", "ES256", "EdDSA")
    assert (issuer.clock_skew_seconds, issuer.organization_claim, issuer.user_claim) == (30, "organization_id", "sub")
    assert issuer.discovery_url == "https://id.example.com/.well-known/openid-configuration"
    assert not issuer.allow_admin


def test_one_issuer_needs_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert issuers(monkeypatch, ISSUER) == issuers(monkeypatch, [ISSUER])


def test_a_realm_keeps_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    (issuer,) = issuers(monkeypatch, ISSUER | {"issuer": "https://id.example.com/realms/acme"})
    assert issuer.discovery_url == "https://id.example.com/realms/acme/.well-known/openid-configuration"


def test_the_documented_example_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    auth0, keycloak = issuers(monkeypatch, text.partition("GATEWAY_JWT_ISSUERS='")[2].partition("'")[0])
    assert (auth0.organization_by, keycloak.organization_by) == ("id", "name")


def test_scopes_are_mapped_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    (issuer,) = issuers(
        monkeypatch, ISSUER | {"scope_map": {"viewer": "runs:read", "tester": ["runs:read", "tasks:submit"]}}
    )
    assert issuer.scope_map == {"viewer": (Scope.RUNS_READ,), "tester": (Scope.RUNS_READ, Scope.TASKS_SUBMIT)}


@pytest.mark.parametrize(
    ("value", "where", "what"),
    [
        ("https://id.example.com/", "", "is not JSON"),
        ("[]]", "", "is not JSON"),
        ("3", "", "should be"),
        ([{"issuer": "https://id.example.com/"}], "[0].audience", "Field required"),
        ([ISSUER | {"audience": []}], "[0].audience", "at least 1 item"),
        ([ISSUER | {"issuers": "x"}], "[0].issuers", "not permitted"),
        ([ISSUER, ISSUER], "", "https://id.example.com/ is there twice"),
        ([ISSUER | {"issuer": "id.example.com"}], "[0]", '"id.example.com" is no URL'),
        ([ISSUER | {"issuer": "http://id.example.com"}], "[0]", "should begin with https://"),
        ([ISSUER | {"jwks_url": "http://id.example.com/keys"}], "[0]", "should begin with https://"),
        ([ISSUER | {"algorithms": ["RS256", "HS256"]}], "[0].algorithms", "HS256 is not possible"),
        ([ISSUER | {"algorithms": ["none"]}], "[0].algorithms", "none is not possible"),
        ([ISSUER | {"algorithms": []}], "[0].algorithms", "at least 1 item"),
        ([ISSUER | {"scope_map": {"boss": ["everything"]}}], "[0].scope_map.boss[0]", "should be 'runs:read'"),
        ([ISSUER | {"scope_map": {"boss": ["admin"]}}], "[0]", '"allow_admin": true'),
        ([ISSUER | {"default_scopes": ["admin"]}], "[0]", '"allow_admin": true'),
        ([ISSUER | {"clock_skew_seconds": -1}], "[0].clock_skew_seconds", "greater than or equal to 0"),
        ([ISSUER | {"organization_by": "email"}], "[0].organization_by", "'id' or 'name'"),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, value: Any, where: str, what: str) -> None:
    with pytest.raises(SettingsInvalid) as failure:
        issuers(monkeypatch, value)
    (sentence,) = failure.value.sentences
    assert sentence.startswith((f"GATEWAY_JWT_ISSUERS{where}:", f"GATEWAY_JWT_ISSUERS{where} should be"))
    assert what in sentence


@pytest.mark.parametrize("issuer", ["http://localhost:8080/realms/test", "http://127.0.0.1:1", "http://[::1]/"])
def test_this_machine_needs_no_tls(issuer: str) -> None:
    assert JwtIssuer(issuer=issuer, audience=("gateway",)).issuer == issuer


def test_an_operator_may_do_without_tls_and_give_admin_knowingly() -> None:
    issuer = JwtIssuer(
        issuer="http://keycloak:8080/realms/acme",
        audience=("gateway",),
        default_scopes=(Scope.ADMIN,),
        allow_http=True,
        allow_admin=True,
    )
    assert issuer.default_scopes == (Scope.ADMIN,)
