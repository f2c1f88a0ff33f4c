"""Sealed secrets: opened by the keys that sealed them, in the place that they were sealed for, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from workerapp.db.sealing import Sealer, SealingUnavailable, endpoint_place, key_id_of, new_key

OLD, NEW = new_key(), new_key()
PLACE = endpoint_place(UUID(int=1), UUID(int=2))


def test_what_an_older_key_sealed_is_opened_while_the_key_is_in_the_list() -> None:
    sealed = Sealer((OLD,)).seal("hunter2 é", PLACE)
    assert b"hunter2" not in sealed
    assert Sealer((NEW, OLD)).open(sealed, PLACE) == "hunter2 é"
    with pytest.raises(SealingUnavailable, match=f"None of the keys .* the key {key_id_of(sealed)} sealed"):
        Sealer((NEW,)).open(sealed, PLACE)


def test_the_newest_key_seals_and_its_mark_tells_so() -> None:
    both = Sealer((NEW, OLD))
    sealed = both.seal("hunter2", PLACE)
    assert sealed.startswith(both.mark)
    assert not Sealer((OLD,)).seal("hunter2", PLACE).startswith(both.mark)
    assert both.key_ids == (key_id_of(sealed), *Sealer((OLD,)).key_ids)


def test_the_same_secret_is_never_sealed_to_the_same_bytes() -> None:
    sealer = Sealer((NEW,))
    assert len({sealer.seal("hunter2", PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize("changed", [{"organization_id": UUID(int=3)}, {"row_id": UUID(int=3)}, {"column": "other"}])
def test_a_secret_that_was_moved_does_not_open(changed: dict[str, Any]) -> None:
    sealer = Sealer((NEW,))
    with pytest.raises(SealingUnavailable, match="for another place"):
        sealer.open(sealer.seal("hunter2", PLACE), replace(PLACE, **changed))


def test_a_secret_of_which_a_byte_was_changed_does_not_open() -> None:
    sealer = Sealer((NEW,))
    sealed = sealer.seal("hunter2", PLACE)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SealingUnavailable):
            sealer.open(bytes(changed), PLACE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"x" * 15, b"sealed with a key that is gone"])
def test_what_was_never_sealed_here_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealingUnavailable):
        Sealer((NEW,)).open(sealed, PLACE)


def test_without_a_key_nothing_is_sealed_or_opened() -> None:
    sealed = Sealer((NEW,)).seal("hunter2", PLACE)
    for work in (lambda: Sealer(()).seal("hunter2", PLACE), lambda: Sealer(()).open(sealed, PLACE)):
        with pytest.raises(SealingUnavailable, match="needs GATEWAY_SECRET_KEYS"):
            work()


@pytest.mark.parametrize("key", ["short", "é" * 44, "A" * 40, "A" * 48, "*" * 44])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Sealer((key,))
