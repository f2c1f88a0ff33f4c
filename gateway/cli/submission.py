"""Submits a suite: endpoint, test set and configuration once each, then a run every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from gateway.cli.run_options import count_results, options_of
from gateway.cli.suite import Suite
from gateway.client import Conflict, Definition, RunSubmitted, Subject, SyncGatewayClient, TestRun
from workerapp.contract.specs import RunOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittedRun:
    """A run that has been queued."""

    id: str
    subject: Subject[TestRun]
    #: How many results it is going to have.
    tests: int
    repeats: int


def submit(client: SyncGatewayClient, suite: Suite, overrides: RunOptions) -> SubmittedRun:
    """Store what the suite says, unless the same was stored before, and start a run of it with these options."""
    try:
        run = _submit(client, suite, overrides, salt="")
    except Conflict as refusal:
        if refusal.code != "archived":
            raise
        # What this suite stored earlier today was archived since; the same keys would answer with it again.
        run = _submit(client, suite, overrides, salt=uuid4().hex)
    options = options_of(suite, overrides)
    return SubmittedRun(
        id=run.test_run_id, subject=run.subject, tests=count_results(suite, options), repeats=options.repeats
    )


def _submit(client: SyncGatewayClient, suite: Suite, overrides: RunOptions, salt: str) -> RunSubmitted:
    endpoint = _store(client.create_endpoint, suite.endpoint, salt)
    test_set = _store(client.create_test_set, suite.test_set, salt)
    body = {**suite.configuration, "endpoint_id": endpoint, "test_set_id": test_set}
    configuration = _store(client.create_test_configuration, body, salt)
    return client.execute(configuration, **overrides.model_dump(mode="json", exclude_unset=True))


def _store(create: Callable[..., Definition], fields: Mapping[str, Any], salt: str) -> str:
    """The key is made of the content: running a suite again stores nothing twice while the server remembers it."""
    content = json.dumps([create.__name__, fields, salt], sort_keys=True, ensure_ascii=True).encode()
    return create(**fields, idempotency_key="suite-" + hashlib.sha256(content).hexdigest()).id
