"""Migrations take nothing away that the previous release uses: while an upgrade is made, its processes are at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compatibility.released import released_versions
from tests.upgrades.contraction import contractions
from tests.upgrades.release import previous_release


def test_a_migration_takes_nothing_away_without_saying_since_which_release_nobody_uses_it() -> None:
    found = contractions(previous_release().revision)
    assert {one.migration: one.unexplained for one in found if one.unexplained} == {}


def test_what_a_migration_calls_unused_was_unused_in_a_release_that_there_is() -> None:
    named = {version for one in contractions(previous_release().revision) for version in one.unused.values()}
    assert named <= set(released_versions())


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE task DROP COLUMN pace;",
        "DROP FUNCTION IF EXISTS\n    pace(uuid);",
        "DROP TABLE pace;",
        "ALTER TABLE task RENAME COLUMN pace TO speed;",
        "ALTER TABLE task ALTER COLUMN pace TYPE bigint;",
        "ALTER TABLE task ALTER COLUMN pace SET NOT NULL;",
    ],
)
def test_what_takes_something_away_is_recognized(tmp_path: Path, statement: str) -> None:
    migration = tmp_path / "0002_change.sql"
    migration.write_text(f"-- DROP TABLE is only spoken of here.\n{statement}\n")
    assert list(contractions("0002", tmp_path)) == []
    (silent,) = contractions("0001", tmp_path)
    assert len(silent.unexplained) == 1
    migration.write_text(f"-- Unused since 0.3.0: speedometer, pace.\n{statement}\n")
    (marked,) = contractions("0001", tmp_path)
    assert marked.unexplained == []
    assert marked.unused == {"speedometer": "0.3.0", "pace": "0.3.0"}
    migration.write_text(f"-- Unused since 0.3.0: space.\n{statement}\n")
    (other,) = contractions("0001", tmp_path)
    assert len(other.unexplained) == 1


def test_what_only_adds_or_makes_faster_is_no_contraction(tmp_path: Path) -> None:
    (tmp_path / "0002_more.sql").write_text(
        "CREATE TABLE pace (id uuid NOT NULL);\nDROP INDEX task_idx;\nALTER TABLE task ADD COLUMN pace text;\n"
    )
    (added,) = contractions("0001", tmp_path)
    assert added.statements == []
