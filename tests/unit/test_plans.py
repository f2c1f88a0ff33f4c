"""Plans as operators write them in a setting."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.quotas.buckets import Rate
from gateway.settings import GatewaySettings, SettingsInvalid, load_gateway_settings

URL = "postgresql://gateway@localhost/gateway"


def settings(plans: Any) -> GatewaySettings:
    return load_gateway_settings(database_url=URL, _env_file=None, plans=plans)


def test_without_a_setting_there_is_one_plan() -> None:
    plans = load_gateway_settings(database_url=URL, _env_file=None).plans
    assert [*plans] == ["default"]
    assert plans["default"].rate == Rate(2_000, 10_000)
    assert plans["default"].key_rate is None


def test_plans_are_read_as_json_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "GATEWAY_PLANS", '{"small": {"requests_per_second": 5, "burst": 10, "key_requests_per_second": 1}}'
    )
    plans = load_gateway_settings(database_url=URL, _env_file=None).plans
    assert sorted(plans) == ["default", "small"]
    assert (plans["small"].rate, plans["small"].key_rate) == (Rate(5, 10), Rate(1, 1_000))
    assert plans["small"].concurrent_runs == plans["default"].concurrent_runs


def test_the_default_plan_can_be_another_one() -> None:
    assert settings('{"default": {"concurrent_runs": 7}}').plans["default"].concurrent_runs == 7


@pytest.mark.parametrize(
    ("plans", "word"),
    [
        ('{"small": {', "not JSON"),
        ("[]", "dictionary"),
        ('{"small": 5}', "small"),
        ('{"small": {"runs": 5}}', "runs"),
        ('{"small": {"burst": 0}}', "greater than or equal to 1"),
        ('{"": {}}', "at least 1 character"),
    ],
)
def test_what_is_wrong_with_plans_is_said(plans: str, word: str) -> None:
    with pytest.raises(SettingsInvalid, match=word) as caught:
        settings(plans)
    assert "GATEWAY_PLANS" in str(caught.value)
