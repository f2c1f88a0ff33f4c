"""Real connections of a guarded session: no way around the guard reaches anybody, whatever a name resolves to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import httpx
import pytest

from tests.integration.test_target import serving, status
from tests.outbound_bypasses import ADDRESSES, REBINDINGS, URLS
from tests.scripted_names import script_names
from tests.witness import Witness, witnessing
from workerapp.contract.outbound import REFUSED_PORTS, OutboundPolicy, OutboundRefused
from workerapp.execution.guard import RefusedAddress, guarded_session, read_at_most

TIMEOUT = aiohttp.ClientTimeout(total=5)
PUBLIC_ONLY = OutboundPolicy.parse("", REFUSED_PORTS)
#: This machine has many addresses; one of them stands for the public ones.
PUBLIC = "127.0.0.2"
ONE_PUBLIC = OutboundPolicy.parse(PUBLIC)
#: Ours, and the client's own, which asserts that a URL has a scheme.
REFUSALS = (OutboundRefused, aiohttp.ClientError, ValueError, AssertionError)


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    async with witnessing() as seen:
        yield seen


def session(policy: OutboundPolicy, **options: Any) -> aiohttp.ClientSession:
    return guarded_session(policy, timeout=TIMEOUT, **options)


async def test_the_witness_sees_who_is_let_through(witness: Witness) -> None:
    async with session(OutboundPolicy.parse("127.0.0.0/8,::1")) as client:
        for host in ("127.0.0.1", "[::1]"):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.get(f"http://{host}:{witness.port}/")
    assert witness.visits >= 2


@pytest.mark.parametrize("kind", URLS)
async def test_no_url_reaches_anybody_even_if_nobody_looks_at_it_before(
    kind: str, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_names(monkeypatch, *([["127.0.0.1"]] * 50))
    async with session(PUBLIC_ONLY) as client:
        for url in URLS[kind]:
            with pytest.raises(REFUSALS):
                await client.get(url.replace("{port}", str(witness.port)), allow_redirects=False)
    assert witness.visits == 0


@pytest.mark.parametrize("kind", ADDRESSES)
async def test_a_name_of_such_an_address_is_not_connected_to(
    kind: str, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ADDRESSES[kind]:
        script_names(monkeypatch, [address])
        async with session(PUBLIC_ONLY) as client:
            with pytest.raises(OutboundRefused, match=r"host\.example resolves to an address that may not be called"):
                await client.get(f"http://host.example:{witness.port}/")
    assert witness.visits == 0


@pytest.mark.parametrize("kind", REBINDINGS)
async def test_only_what_was_checked_is_connected_to(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [[address.format(public=PUBLIC) for address in answers] for answers in REBINDINGS[kind]]
    async with serving(status(200, "ok", Connection="close"), host=PUBLIC) as site:
        names = script_names(monkeypatch, *script)
        async with session(ONE_PUBLIC, dns_seconds=0) as client:
            url = site.url.replace(PUBLIC, "rebound.example")
            assert await (await client.get(url)).text() == "ok"
            for _ in script[1:]:
                with pytest.raises(OutboundRefused, match=r"127\.0\.0\.1 is a loopback address"):
                    await client.get(url)
    assert names.script == []
    assert len(site.times) == 1


async def test_a_literal_address_is_checked_at_the_socket(witness: Witness) -> None:
    async with session(PUBLIC_ONLY) as client:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await client.get(f"http://127.0.0.1:{witness.port}/")
    assert isinstance(caught.value.os_error, RefusedAddress)


async def test_a_refused_port_is_refused_at_the_socket(witness: Witness) -> None:
    async with session(OutboundPolicy.parse("127.0.0.0/8", [witness.port])) as client:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await client.get(f"http://127.0.0.1:{witness.port}/")
    assert "another protocol" in str(caught.value.os_error)
    assert witness.visits == 0


async def test_the_systems_own_names_are_checked(witness: Witness) -> None:
    async with session(PUBLIC_ONLY) as client:
        with pytest.raises(OutboundRefused, match="localhost resolves to an address that may not be called"):
            await client.get(f"http://localhost:{witness.port}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "internal.example", "2130706433", "[::ffff:127.0.0.1]"])
async def test_a_redirect_is_checked_even_for_who_follows_it(
    host: str, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_names(monkeypatch, ["127.0.0.1"])
    target = f"http://{host}:{witness.port}/"
    async with serving(status(302, Location=target), host=PUBLIC) as site, session(ONE_PUBLIC) as client:
        with pytest.raises(REFUSALS):
            await client.get(site.url)
    assert witness.visits == 0


async def test_proxies_and_logins_of_the_environment_are_not_used(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{witness.port}")
    (tmp_path / "netrc").write_text(f"machine {PUBLIC} login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(status(200, "ok"), host=PUBLIC) as site, session(ONE_PUBLIC) as client:
        assert await (await client.get(site.url)).text() == "ok"
    assert "Authorization" not in site.requests[0].headers
    assert witness.visits == 0


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(1000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Endless: " + b"a" * 1_000_000,
    ],
)
async def test_a_head_of_an_answer_that_is_too_large_is_an_error(head: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, PUBLIC, 0)
    async with server, session(ONE_PUBLIC) as client:
        with pytest.raises(aiohttp.ClientResponseError):
            await client.get(f"http://{PUBLIC}:{server.sockets[0].getsockname()[1]}/")


async def test_a_body_is_read_as_far_as_one_may() -> None:
    async with serving(status(200, "a" * 1000), host=PUBLIC) as site, session(ONE_PUBLIC) as client:
        bodies = [await read_at_most((await client.get(site.url)).content, limit) for limit in (10, 999, 1000, 5000)]
    assert [(len(body), is_whole) for body, is_whole in bodies] == [
        (10, False),
        (999, False),
        (1000, True),
        (1000, True),
    ]


def endpoint(url: str) -> dict[str, Any]:
    return {"name": "site", "url": url, "request": {"q": "{{ input }}"}}


def judge(url: str) -> dict[str, Any]:
    return {"name": "judge", "spec": {"type": "webhook", "url": url}}


def webhook(url: str) -> dict[str, Any]:
    return {"url": url}


def callback(url: str) -> dict[str, Any]:
    return {"callback_url": url}


def group_callback(url: str) -> dict[str, Any]:
    return {"endpoint_ids": [NOBODYS], "callback_url": url}


#: Ids are looked up later than URLs are looked at.
NOBODYS = "00000000-0000-7000-8000-000000000000"
Registration = tuple[str, str, Callable[[str], dict[str, Any]]]
REGISTRATIONS: dict[str, Registration] = {
    "POST /v1/endpoints": ("/v1/endpoints", "/url", endpoint),
    "POST /v1/metrics": ("/v1/metrics", "/spec/url", judge),
    "POST /v1/webhook-endpoints": ("/v1/webhook-endpoints", "/url", webhook),
    "PATCH /v1/webhook-endpoints": (f"/v1/webhook-endpoints/{NOBODYS}", "/url", webhook),
    "POST /v1/test-configurations": (f"/v1/test-configurations/{NOBODYS}/execute", "/callback_url", callback),
    "POST /v1/test-sets": (f"/v1/test-sets/{NOBODYS}/execute", "/callback_url", group_callback),
    "POST /v1/test-runs/retry": (f"/v1/test-runs/{NOBODYS}/retry", "/callback_url", callback),
    "POST /v1/test-runs/rerun": (f"/v1/test-runs/{NOBODYS}/rerun", "/callback_url", callback),
    "POST /v1/test-runs/rescore": (f"/v1/test-runs/{NOBODYS}/rescore", "/callback_url", callback),
}


@pytest.mark.parametrize("operation", REGISTRATIONS)
@pytest.mark.parametrize("kind", URLS)
async def test_no_such_url_can_be_registered(kind: str, operation: str, api: httpx.AsyncClient) -> None:
    method, (path, pointer, body) = operation.partition(" ")[0], REGISTRATIONS[operation]
    for url in URLS[kind]:
        refused = await api.request(method, path, json=body(url.replace("{port}", "8080")))
        assert (refused.status_code, refused.json()["code"]) == (422, "url_refused"), url
        assert refused.json()["errors"][0]["pointer"] == pointer
