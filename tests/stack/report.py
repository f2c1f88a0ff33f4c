"""A pytest plugin: a failed test shows what the processes that were running then have said."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.stack.process import RUNNING


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"output of {process.name}", process.output()) for process in RUNNING]
    return report
