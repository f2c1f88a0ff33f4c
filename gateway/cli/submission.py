"""Submits a suite: endpoint, test set and configuration once each, then a run every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from gateway.cli.client import GatewayClient, RequestRefused
from gateway.cli.suite import Suite


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittedRun:
    """A run that has been queued, and where it is watched."""

    id: str
    path: str
    events: str
    tests: int


def submit(client: GatewayClient, suite: Suite) -> SubmittedRun:
    """Store what the suite says, unless the same was stored before, and start a run of it."""
    try:
        return _submit(client, suite, salt="")
    except RequestRefused as refusal:
        if refusal.code != "archived":
            raise
    # What this suite stored earlier today was archived since; the same keys would answer with it again.
    return _submit(client, suite, salt=uuid4().hex)


def _submit(client: GatewayClient, suite: Suite, salt: str) -> SubmittedRun:
    endpoint = _create(client, "/v1/endpoints", suite.endpoint, salt)
    test_set = _create(client, "/v1/test-sets", suite.test_set, salt)
    body = {**suite.configuration, "endpoint_id": endpoint, "test_set_id": test_set}
    configuration = _create(client, "/v1/test-configurations", body, salt)
    run = client.post(f"/v1/test-configurations/{configuration}/execute", {}, uuid4().hex)
    links = run["links"]
    tests = len(suite.test_set["tests"])
    return SubmittedRun(id=run["test_run_id"], path=links["self"], events=links["events"], tests=tests)


def _create(client: GatewayClient, path: str, body: Mapping[str, Any], salt: str) -> str:
    """The key is made of the content: running a suite again stores nothing twice while the server remembers it."""
    content = json.dumps([path, body, salt], sort_keys=True, ensure_ascii=True).encode()
    return str(client.post(path, body, "suite-" + hashlib.sha256(content).hexdigest())["id"])
