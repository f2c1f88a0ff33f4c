"""One attempt at a time, against a real receiver: what is sent, how it is signed, and what is made of the answer."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import standardwebhooks
import svix.webhooks

from tests.outbound_bypasses import ADDRESSES, REBINDINGS, URLS
from tests.scripted_names import script_names
from tests.stack.services import SECRET_KEY
from tests.webhooks import RETRY_AFTER, SEALER, Received, Receiver, answer, receiving, verify
from tests.witness import Witness, witnessing
from workerapp.contract.outbound import REFUSED_PORTS, OutboundPolicy
from workerapp.contract.webhook_signing import Replaced, WebhookSecrets, new_secret
from workerapp.db.sealing import Sealer, new_key, webhook_headers_place, webhook_secrets_place
from workerapp.settings import WorkerSettings
from workerapp.webhooks.attempt import Attempt, Claim, Outcome
from workerapp.webhooks.message import Composer
from workerapp.webhooks.sender import EXCERPT_BYTES, UNSEALED, Sender

LOOPBACK = "127.0.0.0/8"
#: This machine has many addresses; one of them stands for the public ones.
PUBLIC = "127.0.0.2"
PAYLOAD = {
    "type": "test_run.completed",
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "data": {"name": "Größe", "seq": 3, "links": {"self": "/v1/test-runs/1", "results": "/v1/test-runs/1/results"}},
}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    async with witnessing() as seen:
        yield seen


def claim(
    url: str,
    *,
    secrets: WebhookSecrets | None = None,
    headers: dict[str, str] | None = None,
    sealer: Sealer = SEALER,
    **fields: Any,
) -> Claim:
    organization_id, endpoint_id = uuid4(), uuid4()
    secrets = secrets or WebhookSecrets(secret=new_secret())
    sealed_headers = None
    if headers is not None:
        sealed_headers = sealer.seal(json.dumps(headers), webhook_headers_place(organization_id, endpoint_id))
    values: dict[str, Any] = {
        "id": uuid4(),
        "organization_id": organization_id,
        "webhook_endpoint_id": endpoint_id,
        "url": url,
        "sealed_secrets": sealer.seal(secrets.model_dump_json(), webhook_secrets_place(organization_id, endpoint_id)),
        "sealed_headers": sealed_headers,
        "event_type": "test_run.completed",
        "payload": PAYLOAD,
        "attempt": 1,
        "slow": False,
        "due_at": datetime.now(UTC),
    }
    return Claim(**(values | fields))


@asynccontextmanager
async def sending(allow: str = LOOPBACK, **values: Any) -> AsyncIterator[Sender]:
    settings = WorkerSettings(database_url="postgresql://nowhere/db", secret_keys=(SECRET_KEY,), **values)
    policy = OutboundPolicy.parse(allow, REFUSED_PORTS)
    async with Sender(Composer(settings.sealer, settings.public_url), policy, settings.webhooks) as sender:
        yield sender


async def attempt(url: str, *, settings: dict[str, Any] | None = None, **fields: Any) -> Attempt:
    async with sending(**(settings or {})) as sender:
        return await sender.attempt(claim(url, **fields))


def only(received: list[Received]) -> Received:
    (one,) = received
    return one


# ---------------------------------------------------------------- what is sent
async def test_a_delivery_is_verified_by_the_public_libraries(receiver: Receiver) -> None:
    secret = new_secret()
    await attempt(f"{receiver.url}/ok", secrets=WebhookSecrets(secret=secret))
    request = only(receiver.received)
    verify(request, secret)
    assert request.payload == PAYLOAD
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(secret).verify(request.body + b" ", dict(request.headers))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(request.body, dict(request.headers))


async def test_a_secret_that_was_replaced_signs_too_until_its_time_is_over(receiver: Receiver) -> None:
    new, old, oldest = (new_secret() for _ in range(3))
    now = datetime.now(UTC)
    previous = (
        Replaced(secret=old, until=now + timedelta(hours=1)),
        Replaced(secret=oldest, until=now - timedelta(seconds=1)),
    )
    await attempt(f"{receiver.url}/ok", secrets=WebhookSecrets(secret=new, previous=previous))
    request = only(receiver.received)
    assert len(request.headers["webhook-signature"].split()) == 2
    for secret in (new, old):
        verify(request, secret)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(oldest).verify(request.body, dict(request.headers))


async def test_the_body_has_the_same_bytes_at_every_attempt_and_the_timestamp_is_each_ones_own(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, secret = claim(f"{receiver.url}/fail"), new_secret()
    composer = Composer(SEALER, "")
    early = composer.compose(asked, datetime(2026, 1, 1, tzinfo=UTC))
    late = composer.compose(asked, datetime(2026, 1, 1, 0, 5, tzinfo=UTC))
    assert early.body == late.body == json.dumps(PAYLOAD, ensure_ascii=False, separators=(",", ":")).encode()
    assert early.headers["webhook-id"] == late.headers["webhook-id"] == str(asked.id)
    timestamps = [int(message.headers["webhook-timestamp"]) for message in (early, late)]
    assert timestamps == [1767225600, 1767225900]
    assert early.headers["webhook-signature"] != late.headers["webhook-signature"]
    assert secret not in str(early.headers)


async def test_the_headers_say_who_sends_what(receiver: Receiver) -> None:
    began = int(datetime.now(UTC).timestamp())
    asked = claim(f"{receiver.url}/ok")
    async with sending() as sender:
        await sender.attempt(asked)
    headers = only(receiver.received).headers
    assert headers["webhook-id"] == str(asked.id)
    assert began <= int(headers["webhook-timestamp"]) <= int(datetime.now(UTC).timestamp())
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == f"task-status-gateway/{version('task-status-gateway')}"


async def test_the_endpoints_own_headers_come_along_and_override_none_of_ours(receiver: Receiver) -> None:
    secret = new_secret()
    own = {"X-Team": "blue", "Authorization": "Bearer abc", "Webhook-Id": "forged", "USER-AGENT": "other"}
    await attempt(f"{receiver.url}/ok", secrets=WebhookSecrets(secret=secret), headers=own)
    request = only(receiver.received)
    assert (request.headers["x-team"], request.headers["authorization"]) == ("blue", "Bearer abc")
    assert request.headers["user-agent"].startswith("task-status-gateway/")
    verify(request, secret)


@pytest.mark.parametrize("url", ["https://gateway.example.com/tests", "https://gateway.example.com/tests/"])
async def test_links_lead_to_where_the_gateway_is_reached(receiver: Receiver, url: str) -> None:
    await attempt(f"{receiver.url}/ok", settings={"public_url": url})
    assert only(receiver.received).payload["data"]["links"] == {
        "self": "https://gateway.example.com/tests/v1/test-runs/1",
        "results": "https://gateway.example.com/tests/v1/test-runs/1/results",
    }


async def test_secrets_that_do_not_open_fail_the_attempt_and_nothing_is_sent(receiver: Receiver) -> None:
    foreign = Sealer((new_key(),))
    ended = await attempt(f"{receiver.url}/ok", sealer=foreign)
    assert (ended.outcome, ended.error, ended.http_status) == (Outcome.FAILED, UNSEALED, None)
    assert receiver.received == []


async def test_headers_sealed_for_another_endpoint_do_not_open(receiver: Receiver) -> None:
    other = claim(f"{receiver.url}/ok", headers={"Authorization": "Bearer theirs"})
    ended = await attempt(f"{receiver.url}/ok", sealed_headers=other.sealed_headers)
    assert (ended.error, receiver.received) == (UNSEALED, [])


# ---------------------------------------------------------------- what is made of the answer
@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.answers["given"] = answer(status)
    ended = await attempt(f"{receiver.url}/given")
    assert (ended.outcome, ended.http_status, ended.error) == (Outcome.DELIVERED, status, None)


@pytest.mark.parametrize("status", [304, 400, 401, 404, 409, 429, 500, 502, 503, 599])
async def test_every_other_status_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.answers["given"] = answer(status)
    ended = await attempt(f"{receiver.url}/given")
    assert (ended.outcome, ended.http_status) == (Outcome.FAILED, status)
    assert str(ended.error).startswith(f"the receiver answered HTTP {status}")


async def test_gone_is_an_outcome_of_its_own(receiver: Receiver) -> None:
    ended = await attempt(f"{receiver.url}/gone")
    assert (ended.outcome, ended.http_status) == (Outcome.GONE, 410)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_nobody_goes_there(receiver: Receiver, status: int) -> None:
    receiver.answers["given"] = answer(status, Location="/elsewhere")
    ended = await attempt(f"{receiver.url}/given")
    assert ended.outcome is Outcome.FAILED
    assert ended.error == f"the receiver answered HTTP {status}; redirects are not followed"
    assert [request.path for request in receiver.received] == ["/given"]


@pytest.mark.parametrize("path", ["hang", "slow-head"])
async def test_a_receiver_that_does_not_answer_in_time_has_failed(receiver: Receiver, path: str) -> None:
    ended = await attempt(f"{receiver.url}/{path}", settings={"webhook_timeout_seconds": 0.3})
    assert ended.outcome is Outcome.FAILED
    assert re.fullmatch(r"127\.0\.0\.1:\d+ gave no complete answer within 0\.3 seconds", str(ended.error))
    assert ended.duration_ms >= 300


async def test_a_connection_that_breaks_is_a_failure(receiver: Receiver) -> None:
    ended = await attempt(f"{receiver.url}/reset")
    assert ended.outcome is Outcome.FAILED
    assert "ended before the answer was complete" in str(ended.error)


async def test_nobody_listening_is_a_failure() -> None:
    ended = await attempt("http://127.0.0.1:9/")
    assert ended.outcome is Outcome.FAILED
    assert str(ended.error).startswith("no connection to 127.0.0.1:9")


@pytest.mark.parametrize("path", ["slow-body", "endless"])
async def test_a_success_is_known_by_its_head_however_long_the_body(receiver: Receiver, path: str) -> None:
    ended = await attempt(f"{receiver.url}/{path}")
    assert ended.outcome is Outcome.DELIVERED
    assert set(str(ended.excerpt)) == {"a"}
    assert len(str(ended.excerpt)) <= 1000


async def test_an_answer_that_is_no_http_is_a_failure() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.com ready " + b"x" * 5000 + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        ended = await attempt(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert ended.outcome is Outcome.FAILED
    assert "is not valid HTTP" in str(ended.error)
    assert len(str(ended.error)) <= 500


async def test_the_beginning_of_the_answer_is_kept_in_a_form_that_can_be_stored(receiver: Receiver) -> None:
    async def strange(_: Any) -> aiohttp.web.StreamResponse:
        return aiohttp.web.Response(status=500, body=b"\xff\x00\xed\xa0\x80fine " + b"x" * 3 * EXCERPT_BYTES)

    receiver.answers["given"] = strange
    ended = await attempt(f"{receiver.url}/given", settings={"webhook_excerpt_length": 12})
    excerpt = str(ended.excerpt)
    assert len(excerpt) == 12
    assert excerpt.endswith("fine xx")
    assert set(excerpt) == {"\ufffd", *"fine x"}


async def test_an_excerpt_of_no_characters_is_none(receiver: Receiver) -> None:
    assert (await attempt(f"{receiver.url}/fail", settings={"webhook_excerpt_length": 0})).excerpt is None


async def test_a_receiver_that_quotes_what_it_got_is_not_quoted_with_secrets(receiver: Receiver) -> None:
    secrets = WebhookSecrets(secret=new_secret())

    async def quote(request: Any) -> aiohttp.web.StreamResponse:
        return aiohttp.web.Response(status=401, text=f"{request.headers['authorization']} {secrets.secret}")

    receiver.answers["given"] = quote
    ended = await attempt(f"{receiver.url}/given", secrets=secrets, headers={"Authorization": "Bearer token-of-mine"})
    assert ended.excerpt == "*** ***"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (str(RETRY_AFTER), RETRY_AFTER),
        ("0", 0),
        ("1e9", 86_400),
        (format_datetime(datetime(2099, 1, 1, tzinfo=UTC), usegmt=True), 86_400),
        (format_datetime(datetime(1999, 1, 1, tzinfo=UTC), usegmt=True), 0),
        ("soon", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2027 00:00:00 +99999999999999999999", None),
    ],
)
async def test_retry_after_is_taken_in_both_forms_and_bounded(
    receiver: Receiver, value: str, seconds: float | None
) -> None:
    receiver.answers["given"] = answer(503, Retry_After=value)
    assert (await attempt(f"{receiver.url}/given")).retry_after == seconds


async def test_the_log_tells_nothing_of_a_url_but_its_host() -> None:
    fields = claim("https://hooks.example.com/services/token-in-path?key=secret").fields
    assert fields["host"] == "hooks.example.com"
    assert "token-in-path" not in str(fields)
    assert "secret" not in str(fields)


# ---------------------------------------------------------------- where nobody must be reached
@pytest.mark.parametrize("kind", URLS)
async def test_no_such_url_is_called(
    kind: str,
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script_names(monkeypatch, *([["127.0.0.1"]] * 50))
    with caplog.at_level(logging.ERROR):
        async with sending(allow="") as sender:
            for url in URLS[kind]:
                ended = await sender.attempt(claim(url.replace("{port}", str(witness.port))))
                assert (ended.outcome, ended.http_status) == (Outcome.FAILED, None), url
                assert ended.error, url
    assert witness.visits == 0
    assert caplog.records == []


@pytest.mark.parametrize("kind", ADDRESSES)
async def test_no_name_of_such_an_address_is_connected_to(
    kind: str,
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for address in ADDRESSES[kind]:
        script_names(monkeypatch, [address])
        async with sending(allow="") as sender:
            ended = await sender.attempt(claim(f"http://host.example:{witness.port}/"))
        assert str(ended.error).startswith("host.example resolves to an address that may not be called"), address
    assert witness.visits == 0


@pytest.mark.parametrize("kind", REBINDINGS)
async def test_only_what_was_checked_is_connected_to(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[address.format(public=PUBLIC) for address in answers] for answers in REBINDINGS[kind]]
    async with receiving(PUBLIC) as receiver:
        port = receiver.url.rpartition(":")[2]
        for answers, allowed in zip(script, [True] + [False] * len(script), strict=False):
            script_names(monkeypatch, answers)
            async with sending(allow=PUBLIC) as sender:
                ended = await sender.attempt(claim(f"http://rebound.example:{port}/ok"))
            assert (ended.outcome is Outcome.DELIVERED) is allowed
        assert len(receiver.received) == 1


async def test_an_address_is_refused_that_was_allowed_when_it_was_registered(receiver: Receiver) -> None:
    async with sending(allow="10.0.0.0/8") as sender:
        ended = await sender.attempt(claim(f"{receiver.url}/ok"))
    assert "127.0.0.1 is a loopback address and may not be called" in str(ended.error)
    assert receiver.received == []
