"""How receivers treat what they are sent, and what they note of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from tests.webhooks import Answer, Receiver, answer
from workerapp.contract.webhook_signing import ID_HEADER, VerificationFailed, verify

DELIVERED, EXHAUSTED, SKIPPED = "delivered", "exhausted", "skipped"
#: How often one that comes round answers 429 before.
REFUSALS = 2
_PIECE = b"a" * 65_536
_BUFFERED = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """What may become of deliveries, and which statuses their log may show; nothing: the attempt had no answer."""

    ends: frozenset[str]
    statuses: frozenset[int] = frozenset()
    #: An endpoint of its own for each run whose caller asks to be called back.
    is_callback: bool = False


def _succeeds(*statuses: int) -> Manner:
    return Manner(ends=frozenset({DELIVERED}), statuses=frozenset(statuses))


def _fails(*statuses: int) -> Manner:
    """Until the schedule is exhausted, or the endpoint is disabled after days of it."""
    return Manner(ends=frozenset({EXHAUSTED, SKIPPED}), statuses=frozenset(statuses))


#: By the first part of the path. Nobody listens where `refused` leads.
MANNERS: Mapping[str, Manner] = {
    "ok": _succeeds(200),
    "gate": _succeeds(204),
    "relents": _succeeds(429, 204),
    "slow-body": _succeeds(200),
    "endless": _succeeds(200),
    "endless-failure": _fails(500),
    "endless-head": _fails(),
    "slow-head": _fails(),
    "hang": _fails(),
    "reset": _fails(),
    "refused": _fails(),
    "fail": _fails(500),
    "busy": _fails(429),
    "moved": _fails(302),
    "moved-away": _fails(307),
    "gone": _fails(410),
    "moody": Manner(ends=frozenset({DELIVERED, EXHAUSTED, SKIPPED}), statuses=frozenset({204, 429, 500})),
    "called-back": Manner(ends=frozenset({DELIVERED}), statuses=frozenset({204}), is_callback=True),
    "called-back-gone": Manner(ends=frozenset({EXHAUSTED}), statuses=frozenset({410}), is_callback=True),
}
#: Where redirects lead.
ELSEWHERE = "/elsewhere"


class Gate:
    """Requests wait at it while it is closed."""

    def __init__(self) -> None:
        self.is_open = True
        #: The ports of the senders that wait now.
        self.waiting: list[int] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        port: int = request.transport.get_extra_info("peername")[1]
        self.waiting.append(port)
        try:
            while not self.is_open:  # noqa: ASYNC110 - it is opened by another thread
                await asyncio.sleep(0.01)
        finally:
            self.waiting.remove(port)
        return web.Response(status=204)


class Receivers:
    """All manners at one receiver; each path belongs to an endpoint."""

    def __init__(self, receiver: Receiver, chance: random.Random) -> None:
        self._receiver, self._chance = receiver, chance
        self._refusals: Counter[str] = Counter()
        self.gate = Gate()
        #: By path; who makes endpoints says them.
        self.secrets: dict[str, str] = {}
        self.unverified: list[str] = []
        #: How often a delivery was answered with 2xx; the sender need not have heard it.
        self.accepted: Counter[str] = Counter()
        self.poured = 0
        answers = receiver.answers | {
            "gate": self.gate.answer,
            "relents": self._relent,
            "endless": self._pour_body(200),
            "endless-failure": self._pour_body(500),
            "endless-head": self._pour_head,
            "moved": answer(302, Location=ELSEWHERE),
            "moved-away": answer(307, Location=receiver.url.replace("127.0.0.1", "127.0.0.2") + ELSEWHERE),
            "moody": self._be_moody,
            "called-back": answer(204),
            "called-back-gone": answer(410),
        }
        receiver.answers = {name: self._noting(answers[name]) for name in answers}

    def url(self, path: str) -> str:
        return self._receiver.url + path

    @property
    def received(self) -> Mapping[str, list[bytes]]:
        """The bodies that came, by the delivery's id."""
        bodies: dict[str, list[bytes]] = {}
        for one in self._receiver.received:
            bodies.setdefault(one.headers.get(ID_HEADER, "none"), []).append(one.body)
        return bodies

    @property
    def redirected(self) -> int:
        """How many requests came to where only redirects lead."""
        return len(self._receiver.at(ELSEWHERE))

    @property
    def under_way(self) -> int:
        return sum(self._receiver.under_way.values())

    def _noting(self, manner: Answer) -> Answer:
        async def noted(request: web.Request) -> web.StreamResponse:
            headers = {name.lower(): value for name, value in request.headers.items()}
            try:
                verify([self.secrets[request.path]], headers, await request.read(), now=datetime.now(UTC))
            except (VerificationFailed, KeyError) as error:
                self.unverified.append(f"{request.path}: {error!r}")
            response = await manner(request)
            if 200 <= response.status < 300 and request.transport is not None and not request.transport.is_closing():
                self.accepted[headers[ID_HEADER]] += 1
            return response

        return noted

    async def _relent(self, request: web.Request) -> web.StreamResponse:
        webhook_id = request.headers[ID_HEADER]
        if self._refusals[webhook_id] < REFUSALS:
            self._refusals[webhook_id] += 1
            return web.Response(status=429, headers={"Retry-After": "600"})
        return web.Response(status=204)

    async def _be_moody(self, request: web.Request) -> web.StreamResponse:
        mood = self._chance.choice(["well", "well", "fail", "busy", "reset", "hang"])
        if mood == "well":
            return web.Response(status=204)
        return await self._receiver.answers[mood](request)

    def _pour_body(self, status: int) -> Answer:
        async def pour(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=status)
            await response.prepare(request)
            with suppress(ConnectionError):
                while True:
                    await response.write(_PIECE)
                    self.poured += len(_PIECE)
            return response

        return pour

    async def _pour_head(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(b"HTTP/1.1 200 OK\r\n")
        while not transport.is_closing():
            if transport.get_write_buffer_size() > _BUFFERED:
                await asyncio.sleep(0.01)
                continue
            piece = b"X-Header: %b\r\n" % _PIECE[:4000]
            transport.write(piece)
            self.poured += len(piece)
            await asyncio.sleep(0)
        return web.Response(status=500)
