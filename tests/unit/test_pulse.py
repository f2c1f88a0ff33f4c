"""When a worker counts as alive and as ready: every way in which its main loop or its reports stand still."""

from __future__ import annotations

import pytest

from workerapp.pulse import Pulse

WITHIN = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(WITHIN, clock)


def answers(pulse: Pulse) -> tuple[bool, bool]:
    return pulse.health().is_well, pulse.readiness().is_well


def test_one_that_starts_lives_and_is_not_ready_before_it_has_reported(pulse: Pulse) -> None:
    assert answers(pulse) == (True, False)
    pulse.report()
    pulse.loop()
    assert answers(pulse) == (True, True)


def test_a_loop_that_stands_still_is_dead_after_its_time(pulse: Pulse, clock: Clock) -> None:
    pulse.loop()
    clock.passes(WITHIN)
    pulse.report()
    assert answers(pulse) == (True, True)
    clock.passes(1)
    pulse.report()
    assert answers(pulse) == (False, False)
    assert pulse.health().reason == "the main loop stands still"


def test_a_loop_that_is_not_watched_is_not_judged(pulse: Pulse, clock: Clock) -> None:
    clock.passes(10 * WITHIN)
    pulse.report()
    assert answers(pulse) == (True, True)


def test_the_time_without_a_database_is_not_held_against_the_loop(pulse: Pulse, clock: Clock) -> None:
    pulse.loop()
    pulse.report()
    clock.passes(10 * WITHIN)
    pulse.lose()
    assert answers(pulse) == (True, False)
    clock.passes(WITHIN - 1)
    pulse.report()
    assert answers(pulse) == (True, True), "it has a while to come back"
    clock.passes(2)
    pulse.report()
    assert answers(pulse) == (False, False)


def test_a_loop_that_waits_for_the_broker_lives_and_is_not_ready(pulse: Pulse, clock: Clock) -> None:
    pulse.loop()
    with pulse.waiting_for_broker():
        clock.passes(10 * WITHIN)
        pulse.report()
        assert answers(pulse) == (True, False)
    assert answers(pulse) == (True, True)
    clock.passes(WITHIN + 1)
    pulse.report()
    assert answers(pulse) == (False, False), "it came back and stood still"


def test_a_thread_that_does_not_even_try_to_report_is_dead(pulse: Pulse, clock: Clock) -> None:
    pulse.report()
    clock.passes(WITHIN + 1)
    pulse.loop()
    assert answers(pulse) == (False, False)
    pulse.lose()
    assert answers(pulse) == (True, False)


def test_one_that_stops_is_left_alone(pulse: Pulse, clock: Clock) -> None:
    pulse.loop()
    pulse.report()
    pulse.end()
    clock.passes(10 * WITHIN)
    assert answers(pulse) == (True, False)
