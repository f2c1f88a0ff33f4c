"""The interval of a pass rate, against figures that were published or can be reckoned by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.run_statistics import wilson_interval


@pytest.mark.parametrize(
    ("passed", "tests", "interval"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0000, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_published_intervals_are_found(passed: int, tests: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(passed, tests) == pytest.approx(interval, abs=0.00005)


@given(tests=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_rate_is_always_within_its_interval_and_that_within_0_and_1(tests: int, share: float) -> None:
    passed = round(tests * share)
    lower, upper = wilson_interval(passed, tests)
    assert 0 <= lower <= passed / tests + 1e-12
    assert passed / tests - 1e-12 <= upper <= 1
