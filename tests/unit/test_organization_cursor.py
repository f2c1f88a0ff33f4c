"""Snapshots as the database means them, and the cursor that carries them through a client."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.stream.cursor import CursorInvalid
from gateway.stream.organization_cursor import (
    EPOCH_BYTES,
    MOST_BEGUN,
    MOST_CHARACTERS,
    Mark,
    Position,
    decode_position,
    encode_position,
)
from gateway.stream.snapshot import MOST, Snapshot

EPOCH = bytes(range(EPOCH_BYTES))
SMALL = 12


@some.composite
def snapshots(draw: some.DrawFn, most: int = MOST, most_at_work: int = 60) -> Snapshot:
    at_work = sorted(draw(some.sets(some.integers(1, most - 1), max_size=most_at_work)))
    xmin = at_work[0] if at_work else draw(some.integers(1, most))
    return Snapshot(xmin, draw(some.integers(at_work[-1] + 1 if at_work else xmin, most)), tuple(at_work))


@some.composite
def marks(draw: some.DrawFn) -> Mark:
    snapshot = draw(snapshots(MOST - MOST_BEGUN))
    return Mark(snapshot, draw(some.integers(0, MOST)), snapshot.xmax + draw(some.integers(0, MOST_BEGUN)))


@some.composite
def positions(draw: some.DrawFn) -> Position:
    position = Position(draw(some.binary(min_size=EPOCH_BYTES, max_size=EPOCH_BYTES)), draw(marks()))
    if draw(some.booleans()):
        return position.advanced_within(draw(marks()), draw(some.integers(0, MOST)))
    return position


def seen_by(snapshot: Snapshot) -> set[int]:
    return {xid for xid in range(1, 2 * SMALL) if snapshot.sees(xid)}


def armored(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).decode().rstrip("=")


def test_snapshot_sees_what_had_ended() -> None:
    snapshot = Snapshot.parse("10:20:10,14,15")
    assert [xid for xid in range(8, 22) if snapshot.sees(xid)] == [8, 9, 11, 12, 13, 16, 17, 18, 19]


@pytest.mark.parametrize("text", ["10:20:10,14,15", "10:10:", "10:12:11", "1:9223372036854775807:"])
def test_snapshot_is_written_as_the_database_does(text: str) -> None:
    assert str(Snapshot.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["0:1:", "2:1:", "2:5:1", "2:5:5", "2:5:3,3", "2:5:4,3", f"1:{2**63}:", "1:2", "", "a:b:"]
)
def test_parts_that_contradict_each_other_are_no_snapshot(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Snapshot.parse(text)


@given(snapshots(SMALL, 5), snapshots(SMALL, 5))
def test_covering_is_seeing_everything_that_the_other_sees(one: Snapshot, other: Snapshot) -> None:
    assert one.covers(other) == (seen_by(one) >= seen_by(other))


def test_distance_between_two_snapshots_costs_nothing() -> None:
    early, late = Snapshot(1, 1), Snapshot(2**62, 2**62)
    assert late.covers(early)
    assert not early.covers(late)


@given(positions())
def test_cursor_comes_back_as_it_was(position: Position) -> None:
    text = encode_position(position)
    assert decode_position(text) == position
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_cursor_among_forty_writers_is_short() -> None:
    at_work = tuple(range(1_848_544, 1_848_544 + 120, 3))
    seen = Mark(Snapshot(at_work[0], at_work[-1] + 3, at_work), 12_345_678, at_work[-1] + 5)
    assert len(encode_position(Position(EPOCH, seen))) <= 100


def test_event_is_told_when_it_was_seen_or_the_catching_up_has_passed_it() -> None:
    position = Position(EPOCH, Mark(Snapshot(10, 10), 7, 10))
    position = position.advanced_within(Mark(Snapshot(20, 22, (20,)), 40, 22), 30)
    told = {(9, 5), (12, 30), (12, 8)}
    events = told | {(12, 31), (20, 29), (22, 30)}
    assert {event for event in events if position.has_told(*event)} == told


@given(some.binary(max_size=200))
def test_anything_else_is_refused_or_is_a_cursor(noise: bytes) -> None:
    for payload in (noise, b"\x01" + noise, b"\x01" + EPOCH + noise):
        try:
            position = decode_position(armored(payload))
        except CursorInvalid as refusal:
            assert str(refusal).startswith("This is not a cursor")  # noqa: PT017 - most noise is refused, not all
        else:
            assert decode_position(encode_position(position)) == position


HOSTILE = {
    "empty": "",
    "no cursor": "17",
    "other letters": "AQ==!",
    "not ascii": "٣٣٣٣",
    "megabytes": "A" * 5_000_000,
    "another version": armored(b"\x02" + EPOCH + b"\x0a\x00\x00\x00\x00"),
    "short epoch": armored(b"\x01" + EPOCH[:3]),
    "no numbers": armored(b"\x01" + EPOCH),
    "count without its numbers": armored(b"\x01" + EPOCH + b"\x0a\x05" + b"\xff" * 8 + b"\x7f" + b"\x00"),
    "one number without an end": armored(b"\x01" + EPOCH + b"\xff" * (MOST_CHARACTERS // 2)),
    "transaction at work outside the snapshot": armored(b"\x01" + EPOCH + b"\x0a\x05\x01\x06\x00\x00"),
    "transaction at work twice": armored(b"\x01" + EPOCH + b"\x0a\x05\x02\x01\x00\x00\x00"),
    "transaction 0": armored(b"\x01" + EPOCH + b"\x00\x00\x00\x00\x00"),
    "more begun than a server can": armored(b"\x01" + EPOCH + b"\x0a\x00\x00\x00" + b"\xff" * 3 + b"\x7f"),
    "half a second snapshot": armored(b"\x01" + EPOCH + b"\x0a\x00\x00\x00\x00\x0a\x00"),
    "something behind it": armored(b"\x01" + EPOCH + b"\x0a\x00\x00\x00\x00" * 2 + b"\x01\x01"),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_cursor_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(CursorInvalid, match=r"^This is not a cursor of an organization's events; send one exactly"):
        decode_position(text)
