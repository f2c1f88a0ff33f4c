"""Submits a suite: endpoint, test set and configuration once each, then a run every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from gateway.cli.client import GatewayClient, RequestRefused
from gateway.cli.run_options import count_results, options_of
from gateway.cli.suite import Suite
from workerapp.contract.specs import RunOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittedRun:
    """A run that has been queued, and where it is watched."""

    id: str
    path: str
    events: str
    #: How many results it is going to have.
    tests: int
    repeats: int


def submit(client: GatewayClient, suite: Suite, overrides: RunOptions) -> SubmittedRun:
    """Store what the suite says, unless the same was stored before, and start a run of it with these options."""
    try:
        return _submit(client, suite, overrides, salt="")
    except RequestRefused as refusal:
        if refusal.code != "archived":
            raise
    # What this suite stored earlier today was archived since; the same keys would answer with it again.
    return _submit(client, suite, overrides, salt=uuid4().hex)


def _submit(client: GatewayClient, suite: Suite, overrides: RunOptions, salt: str) -> SubmittedRun:
    endpoint = _create(client, "/v1/endpoints", suite.endpoint, salt)
    test_set = _create(client, "/v1/test-sets", suite.test_set, salt)
    body = {**suite.configuration, "endpoint_id": endpoint, "test_set_id": test_set}
    configuration = _create(client, "/v1/test-configurations", body, salt)
    asked = overrides.model_dump(mode="json", exclude_unset=True)
    run = client.post(f"/v1/test-configurations/{configuration}/execute", asked, uuid4().hex)
    links, options = run["links"], options_of(suite, overrides)
    return SubmittedRun(
        id=run["test_run_id"],
        path=links["self"],
        events=links["events"],
        tests=count_results(suite, options),
        repeats=options.repeats,
    )


def _create(client: GatewayClient, path: str, body: Mapping[str, Any], salt: str) -> str:
    """The key is made of the content: running a suite again stores nothing twice while the server remembers it."""
    content = json.dumps([path, body, salt], sort_keys=True, ensure_ascii=True).encode()
    return str(client.post(path, body, "suite-" + hashlib.sha256(content).hexdigest())["id"])
