"""The short form of the fault run of webhooks: everything breaks once while they are sent, and none is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.webhook_faults.faults import STOPPED
from tests.webhook_faults.session import Options, fault_run
from tests.webhook_faults.truth import CHECKS, Account, Delivery, problems

PAYLOAD = {"type": "test_run.failed", "timestamp": "2026-01-02T03:04:05.678901Z", "data": {"seq": 7}}


def test_every_webhook_is_delivered_or_given_up_by_its_schedule_whatever_breaks():
    options = Options(seed=7, seconds=0, outage=1, timeout=0.5, delays=(5, 300, 1800), patience=60, without=[STOPPED])
    report = fault_run(options)
    assert report.is_good, "\n".join([*report.fault_log, str(report)])
    assert len(report.faults) == 5
    assert report.interrupted > 0
    assert report.ends.keys() == {"delivered", "exhausted", "skipped"}
    assert report.poured_megabytes > 5 * report.grown_megabytes


def test_every_check_finds_what_it_is_for():
    assert problems(account()) == {}
    assert problems(account(delivery(status="pending", is_open=True))).keys() >= {"ended"}
    assert problems(account(delivery(numbers=[1, 3]))).keys() == {"log"}
    assert problems(account(delivery(statuses=[None, 204]))).keys() == {"answers"}
    assert problems(account(delivery(statuses=[200, None], errors=[None, "interrupted"]))).keys() == {"outcome"}
    assert problems(account(delivery(payload={}))).keys() == {"payload"}
    assert problems(account(accepted={"d": 3})).keys() == {"repeated"}
    assert problems(account(bodies={"d": [BODY] * 3, "b": [BODY]})).keys() == {"requests"}
    assert problems(account(bodies={})).keys() == {"requests"}
    assert problems(account(bodies={"d": [BODY, b"{}"], "b": [BODY]})).keys() == {"payload"}
    assert problems(account(bodies={"d": [BODY, BODY], "b": [BODY], "x": [BODY]})).keys() == {"unknown"}
    assert problems(account(runs={"r": "c", "another": "c"})).keys() == {"queued"}
    assert problems(account(disabled={"e": 1})).keys() == {"queued"}
    assert CHECKS.keys() <= {"ended", "log", "answers", "outcome", "payload", "requests", "repeated"}


def test_what_is_given_up_sooner_than_the_schedule_says_is_found():
    failed = {"status": "exhausted", "attempts": 3, "numbers": [1, 2, 3]}
    one = delivery(**failed, statuses=[None, 500, 500], errors=["interrupted", "no", "no"])
    facts: dict[str, Any] = {"manner": "fail", "accepted": {"b": 1}}
    assert problems(account(one, **facts)) == {}
    sooner = replace(one, attempts=2, numbers=[1, 2], statuses=[None, 500], errors=["interrupted", "no"])
    assert problems(account(sooner, **facts)).keys() == {"outcome"}
    assert problems(account(replace(one, status="skipped"), **facts)).keys() == {"outcome"}


BODY = json.dumps(PAYLOAD).encode()


def delivery(**changed: Any) -> Delivery:
    """Delivered at the second attempt; the first one's sender died."""
    columns: dict[str, Any] = {
        "id": "d",
        "endpoint_id": "e",
        "event_type": "test_run.failed",
        "subject_id": "r",
        "status": "delivered",
        "attempts": 2,
        "payload": PAYLOAD,
        "is_open": False,
        "numbers": [1, 2],
        "statuses": [None, 200],
        "errors": ["interrupted", None],
    }
    return Delivery(**(columns | changed))


def account(one: Delivery | None = None, manner: str = "ok", **changed: Any) -> Account:
    """Of one run, for which one subscription and a callback were queued, and of a schedule of three attempts."""
    called_back = delivery(id="b", endpoint_id="c", attempts=1, numbers=[1], statuses=[204], errors=[None])
    facts: dict[str, Any] = {
        "deliveries": [one or delivery(), called_back],
        "manners": {"e": manner, "c": "called-back"},
        "disabled": {},
        "runs": {"r": "c"},
        "bodies": {"d": [BODY, BODY], "b": [BODY]},
        "accepted": {"d": 2, "b": 1},
        "attempts": 3,
        "stops": 0,
    }
    return Account(**(facts | changed))
