"""The keys of an issuer are fetched once, again when they may have changed, and kept while the issuer is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest

from gateway.auth.issuer_documents import IssuerDocuments, IssuerUnreachable
from gateway.auth.issuer_keys import IssuerKeys, KeyRhythm
from gateway.auth.jwt_errors import IssuerUnavailable, JwtInvalid
from gateway.auth.jwt_issuer import JwtIssuer
from tests.stack.identity_provider import DISCOVERY, KEYS, IdentityProvider, identity_provider, signing_key

DAY = 86_400.0
MAX_BYTES = 4096
PRIVATE_PART = jwt.get_algorithm_by_name("ES256").to_jwk(signing_key("first").private, as_dict=True)["d"]


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


def documents(provider: IdentityProvider, seconds: float = 20, **settings: Any) -> IssuerDocuments:
    issuer = JwtIssuer.model_validate(provider.settings(**settings))
    return IssuerDocuments(issuer, seconds=seconds, max_bytes=MAX_BYTES)


@asynccontextmanager
async def issuer_keys(
    provider: IdentityProvider, *, max_age: float = DAY, stale: float = DAY, pause: float = 0, **settings: Any
) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(documents(provider, **settings), KeyRhythm(max_age=max_age, stale=stale, pause=pause))
    yield keys
    await keys.close()


async def test_keys_are_fetched_once_for_all_tokens(provider: IdentityProvider) -> None:
    async with issuer_keys(provider) as keys:
        for _ in range(3):
            assert (await keys.find("first", "ES256")).key_id == "first"
    assert provider.asked == {DISCOVERY: 1, KEYS: 1}


async def test_an_operator_may_say_where_the_keys_are(provider: IdentityProvider) -> None:
    async with issuer_keys(provider, jwks_url=provider.url + KEYS) as keys:
        await keys.find("first", "ES256")
    assert provider.asked == {KEYS: 1}


async def test_however_many_need_the_keys_one_fetches_and_goes_on_when_its_request_is_given_up(
    provider: IdentityProvider,
) -> None:
    provider.gate.clear()
    async with issuer_keys(provider, pause=DAY) as keys:
        first, *others = [asyncio.create_task(keys.find("first", "ES256")) for _ in range(20)]
        while not provider.asked:  # noqa: ASYNC110 - the provider is a thread, and tells nobody
            await asyncio.sleep(0.01)
        first.cancel()
        provider.gate.set()
        found = await asyncio.gather(*others)
    assert {key.key_id for key in found} == {"first"}
    assert provider.asked == {DISCOVERY: 1, KEYS: 1}


async def test_a_new_key_is_found_when_a_token_names_it_and_a_withdrawn_one_is_refused(
    provider: IdentityProvider,
) -> None:
    async with issuer_keys(provider) as keys:
        await keys.find("first", "ES256")
        provider.keys = [signing_key("second")]
        assert (await keys.find("second", "ES256")).key_id == "second"
        with pytest.raises(JwtInvalid, match="does not publish"):
            await keys.find("first", "ES256")


async def test_a_withdrawn_key_is_noticed_by_the_age_of_the_others(provider: IdentityProvider) -> None:
    async with issuer_keys(provider, max_age=0) as keys:
        await keys.find("first", "ES256")
        provider.keys = [signing_key("second")]
        with pytest.raises(JwtInvalid, match="does not publish"):
            await keys.find("first", "ES256")


async def test_tokens_with_made_up_keys_do_not_make_us_ask_again_and_again(provider: IdentityProvider) -> None:
    async with issuer_keys(provider, pause=DAY) as keys:
        for number in range(5):
            with pytest.raises(JwtInvalid, match="does not publish"):
                await keys.find(f"made up {number}", "ES256")
    assert provider.asked[KEYS] == 1


async def test_known_keys_serve_while_the_issuer_is_away_and_unknown_ones_are_not_called_wrong(
    provider: IdentityProvider,
) -> None:
    async with issuer_keys(provider, max_age=0) as keys:
        await keys.find("first", "ES256")
        provider.is_down = True
        assert (await keys.find("first", "ES256")).key_id == "first"
        with pytest.raises(IssuerUnavailable):
            await keys.find("second", "ES256")
        provider.is_down = False
        with pytest.raises(JwtInvalid):
            await keys.find("second", "ES256")


async def test_known_keys_serve_for_a_time_only(provider: IdentityProvider) -> None:
    async with issuer_keys(provider, max_age=0, stale=0) as keys:
        await keys.find("first", "ES256")
        provider.is_down = True
        with pytest.raises(IssuerUnavailable):
            await keys.find("first", "ES256")


async def test_an_issuer_that_was_never_there_is_asked_again_after_a_pause(provider: IdentityProvider) -> None:
    provider.is_down = True
    async with issuer_keys(provider, pause=30) as keys:
        for _ in range(3):
            with pytest.raises(IssuerUnavailable) as failure:
                await keys.find("first", "ES256")
            assert 1 <= int(failure.value.headers["Retry-After"]) <= 30
    assert provider.asked == {DISCOVERY: 1}


async def test_a_token_that_names_no_key_is_checked_with_the_only_one_there_is(provider: IdentityProvider) -> None:
    async with issuer_keys(provider) as keys:
        assert (await keys.find(None, "ES256")).key_id == "first"
    provider.keys = [signing_key("first"), signing_key("second")]
    async with issuer_keys(provider) as keys:
        with pytest.raises(JwtInvalid, match="does not say which key"):
            await keys.find(None, "ES256")


async def test_a_key_is_used_with_no_algorithm_but_its_own(provider: IdentityProvider) -> None:
    provider.keys = [signing_key("rsa", "RS256"), signing_key("first"), signing_key("large", "ES384")]
    async with issuer_keys(provider, algorithms=["RS256", "PS256", "ES256", "ES384", "EdDSA"]) as keys:
        # A key for RSA that does not say more is good for both of its algorithms.
        for name, algorithm in (("rsa", "RS256"), ("rsa", "PS256"), ("first", "ES256"), ("large", "ES384")):
            assert (await keys.find(name, algorithm)).algorithm_name == algorithm
        for name, algorithm in (("rsa", "ES256"), ("first", "RS256"), ("first", "ES384"), ("first", "EdDSA")):
            with pytest.raises(JwtInvalid, match="not one for its algorithm"):
                await keys.find(name, algorithm)


def published(*changes: dict[str, Any]) -> tuple[int, bytes]:
    """A set with the first key as it is after these changes."""
    key = signing_key("first").as_jwk()
    return 200, json.dumps({"keys": [key | change for change in changes]}).encode()


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        (DISCOVERY, (404, b""), "answers 404"),
        (DISCOVERY, (302, b""), "answers 302"),
        (DISCOVERY, (200, b"<html>"), "is not JSON"),
        (DISCOVERY, (200, b"[" * 2000), "is not JSON"),
        (DISCOVERY, (200, b"[]"), "is not a JSON object"),
        (DISCOVERY, (200, b" " * (MAX_BYTES + 1)), "is larger than 4096 bytes"),
        (DISCOVERY, (200, b'{"issuer": "https://other.example.com/"}'), "is the document of"),
        (KEYS, (200, b"{}"), "has no key for RS256, ES256, EdDSA"),
        (KEYS, (200, b'{"keys": {"kid": "first"}}'), "has no key"),
        (KEYS, (200, b'{"keys": [3, null, {}, {"kty": "RSA"}]}'), "has no key"),
        (KEYS, published({"use": "enc"}, {"alg": "ES384"}, {"kid": 3}, {"x": "AA"}, {"x": 3}), "has no key"),
        (
            KEYS,
            published({"d": PRIVATE_PART}, {"kty": "oct", "k": "AA"}, {"crv": "P-384"}, {"crv": ["P-256"]}),
            "has no key",
        ),
    ],
)
async def test_what_is_no_good_document_is_said_in_the_log(
    provider: IdentityProvider, path: str, answer: tuple[int, bytes], why: str
) -> None:
    provider.answers[path] = answer
    reading = documents(provider)
    with pytest.raises(IssuerUnreachable, match=why):
        await reading.read_keys()
    await reading.close()


async def test_a_discovery_document_cannot_send_us_to_an_unprotected_address(provider: IdentityProvider) -> None:
    document = {"issuer": provider.issuer, "jwks_uri": "http://id.example.com/keys"}
    provider.answers[DISCOVERY] = (200, json.dumps(document).encode())
    reading = documents(provider)
    with pytest.raises(IssuerUnreachable, match="should begin with https://"):
        await reading.read_keys()
    await reading.close()


async def test_an_issuer_that_does_not_answer_is_not_waited_for(provider: IdentityProvider) -> None:
    provider.gate.clear()
    reading = documents(provider, seconds=0.1)
    with pytest.raises(IssuerUnreachable, match=r"no answer within 0\.1 seconds"):
        await reading.read_keys()
    await reading.close()
    provider.gate.set()


async def test_an_issuer_where_nobody_listens_is_unreachable() -> None:
    issuer = JwtIssuer(issuer="http://127.0.0.1:9/", audience=("gateway",))
    reading = IssuerDocuments(issuer, seconds=20, max_bytes=MAX_BYTES)
    with pytest.raises(IssuerUnreachable, match="ConnectError"):
        await reading.read_keys()
    await reading.close()
