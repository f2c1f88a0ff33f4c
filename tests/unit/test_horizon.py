"""How old the oldest open transaction is, as a reader of snapshots sees it."""

from __future__ import annotations

from gateway.stream.horizon import Horizon
from gateway.stream.organization_cursor import Mark
from gateway.stream.snapshot import Snapshot


def mark(xmin: int, xmax: int, *xip: int, next_xid: int | None = None) -> Mark:
    return Mark(Snapshot(xmin, xmax, xip), newest_id=0, next_xid=next_xid or xmax)


def seen(horizon: Horizon, at: float, what: Mark) -> tuple[int, float]:
    horizon.see(what, at)
    return horizon.transactions, horizon.age


def test_without_an_open_transaction_there_is_no_horizon() -> None:
    horizon = Horizon()
    assert seen(horizon, 100, mark(10, 10)) == (0, 0)
    assert seen(horizon, 160, mark(10, 10)) == (0, 0)


def test_one_that_stays_open_grows_old_whatever_else_runs() -> None:
    horizon = Horizon()
    assert seen(horizon, 100, mark(10, 12, 10)) == (2, 0)
    assert seen(horizon, 160, mark(10, 500, 10, 499)) == (490, 60)
    assert seen(horizon, 161, mark(499, 500, 499)) == (1, 0)


def test_one_that_is_open_alone_is_seen_by_the_next_id() -> None:
    horizon = Horizon()
    assert seen(horizon, 100, mark(10, 10)) == (0, 0)
    assert seen(horizon, 130, mark(10, 10, next_xid=11)) == (1, 0)
    assert seen(horizon, 135, mark(10, 10, next_xid=11)) == (1, 5)
    assert seen(horizon, 136, mark(11, 11)) == (0, 0)
