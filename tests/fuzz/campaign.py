"""Sends what was drawn, and looks at every answer: in contract, no 5xx, nothing of another organization's."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import httpx
from schemathesis import Case, GenerationMode

from tests.contract import ContractBroken, contract
from tests.fuzz.estates import Estate
from tests.fuzz.requests import Addresser, Document, Drawn, rounds

#: A WebSocket's path is no operation that a plain request could use.
SKIPPED = {"GET /v1/ws"}


@dataclass
class Findings:
    """What was wrong, once for each operation and kind, with the request that showed it first."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: dict[tuple[str, str], str] = field(default_factory=dict)
    #: What the gateway said of its own failures.
    log: list[str] = field(default_factory=list)

    def add(self, kind: str, request: Drawn, what: str) -> None:
        self.wrong.setdefault((request.label, kind), f"{request.label}: {kind}: {what}\n    {request.text()}")

    def __str__(self) -> str:
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return "\n".join(
            [f"{self.sent} requests ({answers}), {len(self.wrong)} findings", *self.wrong.values(), *self.log]
        )


class Campaign:
    """One caller, who asks for what is its own and what is another organization's."""

    def __init__(self, client: httpx.Client, own: Estate, foreign: Estate, seed: int, under: str = "") -> None:
        self._client = client
        self._foreign = foreign
        self._under = under
        self._own = {name: [value] for name, value in own.ids.items()}
        self._seed = seed
        self._document = Document()
        self.findings = Findings()

    def labels(self) -> list[str]:
        return sorted(
            label for label in self._document.operations if f" {self._under}" in label and label not in SKIPPED
        )

    def run(self, *, count: int, seconds: float | None = None) -> Findings:
        """One round over all operations, or as many as begin within the time."""
        end = time.monotonic() + (seconds or 0)
        for seed in rounds(self._seed):
            random = Random(seed)
            addresser = Addresser(random, self._own, self._foreign.ids)
            drawn = list(self._drawn(count, seed))
            random.shuffle(drawn)
            for label, case in drawn:
                self._send(addresser.address(label, case))
            if time.monotonic() >= end:
                return self.findings
        raise AssertionError("rounds never end")

    def _drawn(self, count: int, seed: int) -> Iterator[tuple[str, Case]]:
        for label in self.labels():
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                for case in self._document.cases(label, mode, count, seed):
                    yield label, case

    def _send(self, drawn: Drawn) -> None:
        try:
            answer = self._client.request(
                drawn.method, drawn.path, params=drawn.query, headers=drawn.headers, content=drawn.content
            )
        except httpx.InvalidURL:
            return  # longer than the client would send
        except httpx.TransportError as broken:
            self.findings.add("breaks off", drawn, repr(broken))
            return
        findings = self.findings
        findings.sent += 1
        findings.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            findings.add(f"answers {answer.status_code}", drawn, answer.text[:400])
        try:
            contract().check(answer)
        except ContractBroken as broken:
            findings.add("breaks the contract", drawn, str(broken)[:600])
        if told := self._leaked(drawn, answer):
            findings.add("tells of another organization", drawn, f"{told} in {answer.text[:400]}")
        self._remember(answer)

    def _leaked(self, drawn: Drawn, answer: httpx.Response) -> set[str]:
        """What of the other organization's is in the answer; an id that was asked for may be named in a refusal."""
        secret = {self._foreign.mark, self._foreign.organization_id, *self._foreign.ids.values()}
        if not answer.is_success:
            secret -= drawn.foreign
        told = _told(drawn, answer)
        return {each for each in secret if each and each in told}

    def _remember(self, answer: httpx.Response) -> None:
        """What the caller has made is asked for, changed, executed and cancelled later."""
        place = answer.headers.get("Location", "")
        template = contract().path_of(place)
        if answer.status_code in (201, 202) and template is not None:
            name = template.rpartition("/")[2].strip("{}")
            self._own.setdefault(name, []).append(place.rpartition("/")[2])


def _told(drawn: Drawn, answer: httpx.Response) -> str:
    """The answer and its headers, without the filters that the caller wrote and the audit log repeats."""
    text = answer.text
    if answer.is_success and drawn.label == "GET /v1/audit-events":
        page = answer.json()
        for event in page["items"]:
            event["details"].pop("filter", None)
        text = json.dumps(page)
    return text + str(answer.headers)
