"""When a dispatcher looks for deliveries."""

from __future__ import annotations

from workerapp.webhooks.looks import Looks

FOUND, NOTHING = True, False


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def pauses(looks: Looks, clock: Clock, *found: bool) -> list[float]:
    """Until the next look, after each of some that found something or not."""
    waited = []
    for one in found:
        clock.now += looks.seconds_left
        looks.look()
        if one:
            looks.hear()
        waited.append(round(looks.seconds_left, 3))
    return waited


def test_it_looks_at_once_and_more_and_more_rarely_while_there_is_nothing() -> None:
    clock = Clock()
    looks = Looks(1.0, clock)
    assert looks.seconds_left == 0
    assert pauses(looks, clock, *[NOTHING] * 6) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert pauses(looks, clock, FOUND, FOUND, NOTHING, NOTHING) == [0.1, 0.1, 0.1, 0.2]


def test_news_makes_it_look_soon_and_never_more_often_than_ten_times_a_second() -> None:
    clock = Clock()
    looks = Looks(60.0, clock)
    pauses(looks, clock, *[NOTHING] * 12)
    for _ in range(1000):
        looks.hear()
    assert round(looks.seconds_left, 3) == 0.1
    clock.now += 5
    assert looks.seconds_left == 0


def test_news_that_comes_while_it_looks_is_not_lost() -> None:
    clock = Clock()
    looks = Looks(60.0, clock)
    pauses(looks, clock, *[NOTHING] * 12)
    clock.now += looks.seconds_left
    looks.look()
    looks.hear()
    assert round(looks.seconds_left, 3) == 0.1
