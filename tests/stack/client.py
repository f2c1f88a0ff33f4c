"""What a caller does: REST and event streams of one organization, over HTTP and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

from gateway.auth.keyring import create_key, create_organization, open_keyring
from gateway.auth.keys import TENANT_SCOPES
from tests.postgres import TestDatabase
from tests.waiting import until
from workerapp.db.address import DatabaseAddress

FINAL = {"completed", "partial", "failed", "cancelled", "SUCCESS", "FAILURE", "REVOKED"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamEvent:
    """One event of a stream, with the cursor that a client would resume from."""

    cursor: str
    kind: str
    body: dict[str, Any]

    @property
    def seq(self) -> int:
        return int(self.body["seq"])

    @property
    def type(self) -> str:
        return str(self.body["type"])


class Client:
    """An organization's HTTP client."""

    def __init__(self, url: str, key: str, organization_id: str) -> None:
        self.organization_id = organization_id
        self.key = key
        self.url = url
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        return _body(self.http.get(path, params=parameters))

    def post(self, path: str, body: Any) -> Any:
        return _body(self.http.post(path, json=body))

    def submit(self, name: str, *args: Any, **kwargs: Any) -> str:
        return str(self.post("/v1/tasks", {"name": name, "args": list(args), "kwargs": kwargs})["task_id"])

    def configure(self, *, endpoint: dict[str, Any], tests: Sequence[dict[str, Any]], **configuration: Any) -> str:
        """Make an endpoint, a test set and a configuration of them; its id."""
        endpoint_id = self.post("/v1/endpoints", {"name": "app"} | endpoint)["id"]
        test_set_id = self.post("/v1/test-sets", {"name": "questions", "tests": list(tests)})["id"]
        body = {"name": "configuration", "endpoint_id": endpoint_id, "test_set_id": test_set_id} | configuration
        return str(self.post("/v1/test-configurations", body)["id"])

    def execute(self, configuration_id: str) -> str:
        return str(self.post(f"/v1/test-configurations/{configuration_id}/execute", {})["test_run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.get(f"/v1/test-runs/{run_id}"))

    def task(self, task_id: str) -> dict[str, Any]:
        return dict(self.get(f"/v1/tasks/{task_id}"))

    def settled(self, run_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run, as soon as its stream tells that it has ended."""
        return self._settled(f"/v1/test-runs/{run_id}", seconds)

    def settled_group(self, group_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The same for a group of runs."""
        return self._settled(f"/v1/run-groups/{group_id}", seconds)

    def _settled(self, path: str, seconds: float) -> dict[str, Any]:
        """A client that lags behind comes back."""
        deadline = time.monotonic() + seconds
        cursor = None
        while time.monotonic() < deadline:
            for event in self.events(f"{path}/events", cursor, httpx.Timeout(seconds)):
                cursor = event.cursor or cursor
            now: dict[str, Any] = self.get(path)
            if now["status"] in FINAL:
                return now
        raise AssertionError(f"{path} did not settle within {seconds:g} seconds: {self.get(path)}")

    def ended(self, task_id: str, seconds: float = 15.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in FINAL else None

        return until(look, seconds)

    def results(self, run_id: str) -> list[dict[str, Any]]:
        """All results, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(f"/v1/test-runs/{run_id}/results", limit=500, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def events(
        self, path: str, cursor: str | None = None, timeout: httpx.Timeout | None = None
    ) -> Iterator[StreamEvent]:
        """A stream until it ends; a broken connection raises, as it does for any client."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor is not None else {})
        with self.http.stream("GET", path, headers=headers, timeout=timeout or httpx.Timeout(60)) as response:
            if response.status_code == 204:
                return
            response.raise_for_status()
            yield from parse(response.iter_lines())


def parse(lines: Iterator[str]) -> Iterator[StreamEvent]:
    """Server-sent events, by the standard's rules as far as the gateway uses them."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield StreamEvent(
                cursor=fields.get("id", ""), kind=fields.get("event", "message"), body=json.loads(fields["data"])
            )
        fields = {}


def new_client(database: TestDatabase, url: str, organization: str, scopes: Sequence[str] = TENANT_SCOPES) -> Client:
    """A client of a new organization."""
    with open_keyring(DatabaseAddress.parse(database.admin_url)) as connection:
        organization_id = create_organization(connection, organization)
        key = create_key(connection, organization_id, "tests", scopes)
    return Client(url, key.secret, str(organization_id))


def _body(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.status_code} {response.text}"
    return response.json()
