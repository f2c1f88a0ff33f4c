"""Gateways and workers are restarted one after the other behind nginx, and no caller notices more than streams do."""

from __future__ import annotations

import pytest

from tests.rolling.load import Size
from tests.rolling.session import Options, rolling

SMALL = Size(submitters=1, readers=1, posters=2, pause=0.1)


@pytest.mark.timeout(300)
def test_nobody_is_refused_and_nothing_is_missed_or_done_twice_while_everything_is_restarted():
    report = rolling(Options(seed=7, rounds=1, pause=0.5, retry=0.5, settle=60, size=SMALL))
    assert report.is_good, str(report)
    assert [restart.status for restart in report.restarts] == [0, 0, -15, -15], "none had to be killed"
    assert report.tasks > 0
    assert report.runs > 0
    assert report.ends["draining"] > 0
    assert report.resumptions > 0
