"""The API under requests of every kind, with another organization's ids in them; `make fuzz` does so for longer."""

from __future__ import annotations

import pytest

from tests.postgres import TestDatabase

pytest.importorskip("schemathesis", reason="schemathesis draws the requests, and comes with the extra `dev`")

from tests.fuzz.session import fuzz, fuzz_operations

SEED = 7
pytestmark = pytest.mark.timeout(400)


def test_every_answer_is_in_contract_and_holds_nothing_of_another_organization(database: TestDatabase) -> None:
    findings = fuzz(database, seed=SEED, count=4)
    assert findings.sent > 400
    assert not findings.wrong, str(findings)


def test_every_answer_to_an_operator_is_in_contract(database: TestDatabase) -> None:
    findings = fuzz_operations(database, seed=SEED, count=3)
    assert findings.statuses[200] > 0
    assert not findings.wrong, str(findings)


def test_a_caller_who_is_told_and_changes_what_belongs_to_the_other_is_found_out(database: TestDatabase) -> None:
    findings = fuzz(database, seed=SEED, count=6, as_owner=True, under="/v1/metrics")
    kinds = {kind for _, kind in findings.wrong}
    assert {"tells of another organization", "changed"} <= kinds
