"""The kept key is private; the folder it is in does not lock anybody else out."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.kept_secret_keys import FILE_NAME, kept_secret_keys


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path):
    keys = kept_secret_keys(tmp_path)
    assert kept_secret_keys(tmp_path) == keys
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_folder_made_for_the_key_can_be_passed_through_by_the_account_of_postgres(tmp_path: Path):
    folder = tmp_path / "state" / "gateway"
    kept_secret_keys(folder)
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o755, 0o755]
