"""Authenticating to an application: fixed secrets, and tokens that a real token server gives."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from aiohttp import web

from tests.integration.test_target import LOOPBACK, QUICK, Site, code, hang, output, question, serving, status, target
from workerapp.contract.outbound import OutboundPolicy
from workerapp.contract.reasons import ErrorCode
from workerapp.contract.specs import EndpointSpec
from workerapp.execution.credentials import Token, TokenCache, TokenLimits
from workerapp.execution.exchange import Answer
from workerapp.execution.target import Target, TargetLimits


def client_credentials(url: str, **fields: Any) -> dict[str, Any]:
    base = {"token_url": url, "client_id": "gate way", "client_secret": "s3cret&"}
    return {"type": "oauth2_client_credentials"} | base | fields


def token(value: str, **fields: Any) -> web.Response:
    return web.json_response({"access_token": value, "token_type": "Bearer", "expires_in": 3600} | fields)


def authorizations(site: Site) -> list[str | None]:
    return [request.headers.get("Authorization") for request in site.requests]


async def ask_with(auth: dict[str, Any], site: Site, *, limits: TargetLimits = QUICK, times: int = 1) -> list[Answer]:
    spec = EndpointSpec.model_validate({"name": "site", "url": site.url, "auth": auth, "headers": {"X-Own": "own"}})
    async with Target(spec, LOOPBACK, limits=limits) as asked:
        return list(await asyncio.gather(*(asked.ask(question()) for _ in range(times))))


async def test_bearer_token_is_sent() -> None:
    async with serving(output("a")) as site:
        await ask_with({"type": "bearer", "token": "t-1"}, site)
    assert authorizations(site) == ["Bearer t-1"]


async def test_api_key_is_sent_in_its_header() -> None:
    async with serving(output("a")) as site:
        await ask_with({"type": "api_key", "header": "X-Key", "value": "k-1"}, site)
    assert site.requests[0].headers["X-Key"] == "k-1"


async def test_token_is_fetched_once_for_all_that_ask_at_once() -> None:
    async with serving(token("t-1")) as tokens, serving(output("a")) as site:
        answers = await ask_with(client_credentials(tokens.url, scope="ask", audience="app"), site, times=20)
    assert {answer.output for answer in answers} == {"a"}
    assert authorizations(site) == ["Bearer t-1"] * 20
    assert tokens.bodies == ["grant_type=client_credentials&scope=ask&audience=app"]
    credentials = base64.b64encode(b"gate%20way:s3cret%26").decode()
    assert authorizations(tokens) == [f"Basic {credentials}"]
    assert "X-Own" not in tokens.requests[0].headers


async def test_id_and_secret_may_be_sent_in_the_body() -> None:
    async with serving(token("t-1")) as tokens, serving(output("a")) as site:
        await ask_with(client_credentials(tokens.url, client_auth="body"), site)
    assert tokens.bodies == ["grant_type=client_credentials&client_id=gate+way&client_secret=s3cret%26"]
    assert authorizations(tokens) == [None]


async def test_token_outlives_the_target_that_fetched_it() -> None:
    known: TokenCache = {}
    async with serving(token("t-1")) as tokens, serving(output("a")) as site:
        for _ in range(3):
            asked = target(site.url, auth=client_credentials(tokens.url), tokens=known)
            async with asked:
                await asked.ask(question())
    assert (len(tokens.times), authorizations(site)) == (1, ["Bearer t-1"] * 3)


async def test_token_that_expires_is_replaced_before_it_does() -> None:
    known: TokenCache = {}
    short, longer = token("t-1", expires_in=20), token("t-2", expires_in="60")
    async with (
        serving(short, longer) as tokens,
        serving(output("a")) as site,
        target(site.url, auth=client_credentials(tokens.url), tokens=known) as asked,
    ):
        await asked.ask(question())
        ((auth, first),) = known.items()
        # Half of so short a life is the margin: what is left of it is spent here.
        known[auth] = Token(first.value, first.fresh_until - 10)
        await asked.ask(question())
    assert authorizations(site) == ["Bearer t-1", "Bearer t-2"]
    assert known[auth].fresh_until - first.fresh_until > 15


async def test_token_that_is_refused_is_fetched_again_once() -> None:
    async def only_second(request: web.Request) -> web.StreamResponse:
        return output("a") if request.headers["Authorization"] == "Bearer t-2" else status(401)

    async with serving(token("t-1"), token("t-2")) as tokens, serving(only_second) as site:
        answers = await ask_with(client_credentials(tokens.url), site, times=5)
    assert [(answer.output, answer.attempts) for answer in answers] == [("a", 1)] * 5
    assert len(tokens.times) == 2


async def test_endpoint_that_refuses_every_token_is_not_asked_for_ever() -> None:
    async with serving(token("t-1"), token("t-2"), token("t-3")) as tokens, serving(status(401)) as site:
        (answer,) = await ask_with(client_credentials(tokens.url), site)
    assert (code(answer), answer.http_status) == (ErrorCode.HTTP_STATUS, 401)
    assert authorizations(site) == ["Bearer t-1", "Bearer t-2"]


async def test_401_of_a_fixed_token_is_final() -> None:
    async with serving(status(401)) as site:
        (answer,) = await ask_with({"type": "bearer", "token": "t-1"}, site)
    assert (answer.http_status, len(site.times)) == (401, 1)


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (status(400, '{"error": "invalid_client"} s3cret&'), 'answered HTTP 400: {"error": "invalid_client"} ***'),
        (status(302, Location="http://127.0.0.1/"), "answered HTTP 302"),
        (web.Response(text="<html>"), "the answer is not JSON"),
        (web.json_response(["t-1"]), "the answer has no access_token that can be sent"),
        (token("a\r\nX-Evil: 1"), "the answer has no access_token that can be sent"),
        (web.Response(text='{"access_token": "' + "x" * 5000 + '"}'), "the answer has more than 2000 bytes"),
    ],
)
async def test_token_that_cannot_be_had_is_an_error_and_nothing_is_sent(answered: web.Response, said: str) -> None:
    limits = TargetLimits(token=TokenLimits(max_bytes=2000))
    async with serving(answered) as tokens, serving(output("a")) as site:
        (answer,) = await ask_with(client_credentials(tokens.url), site, limits=limits)
    assert (code(answer), answer.http_status, site.times) == (ErrorCode.AUTH_FAILED, None, [])
    assert answer.error is not None
    assert said in answer.error.message
    assert "s3cret" not in answer.error.message
    assert len(tokens.times) == 1


async def test_token_server_that_fails_is_asked_again() -> None:
    async with serving(status(503), token("t-1")) as tokens, serving(output("a")) as site:
        (answer,) = await ask_with(client_credentials(tokens.url), site)
    assert (answer.output, answer.attempts) == ("a", 2)


async def test_token_server_that_is_silent_is_given_up() -> None:
    limits = TargetLimits(backoff_seconds=0.01, token=TokenLimits(timeout=0.1))
    async with serving(hang) as tokens, serving(output("a")) as site:
        (answer,) = await ask_with(client_credentials(tokens.url), site, limits=limits)
    assert (code(answer), len(tokens.times), site.times) == (ErrorCode.AUTH_FAILED, 3, [])


async def test_token_server_is_behind_the_same_guard() -> None:
    async with serving(token("t-1")) as tokens, serving(output("a"), host="127.0.0.2") as site:
        auth = client_credentials(tokens.url.replace("127.0.0.1", "localhost"))
        async with target(site.url, auth=auth, policy=OutboundPolicy.parse("127.0.0.2")) as asked:
            answer = await asked.ask(question())
    assert (code(answer), tokens.times, site.times) == (ErrorCode.AUTH_FAILED, [], [])


async def test_fetched_token_is_left_out_of_messages() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return status(400, f"bad {request.headers['Authorization']}")

    async with serving(token("tok-very-secret")) as tokens, serving(echo) as site:
        (answer,) = await ask_with(client_credentials(tokens.url), site)
    assert answer.error is not None
    assert answer.error.message.endswith("bad Bearer ***")
    assert "very-secret" not in repr(answer)
