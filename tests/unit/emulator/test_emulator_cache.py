"""The cache folder: locks, publishing, sizes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from harness.emulator.cache import cache_folder, is_locked, locked, published, stored_bytes
from harness.errors import ImageError


def _quiet(_line: str) -> None:
    return None


def test_cache_folder_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME decides where the cache is, and the folder is private."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))

    folder = cache_folder()

    assert folder == tmp_path / "x" / "fleetgate"
    assert folder.stat().st_mode & 0o077 == 0


def test_relative_xdg_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative XDG_CACHE_HOME is invalid by its specification and must not put images into the current folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_folder() == tmp_path / ".cache" / "fleetgate"


def test_unwritable_cache_is_an_image_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder that cannot be made is named together with the way out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(ImageError, match="XDG_CACHE_HOME"):
        cache_folder()


def test_lock_excludes_threads(tmp_path: Path) -> None:
    """Two threads of one process never hold one lock at once."""
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with locked(tmp_path / "a.lock", what="thing", progress=_quiet):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1, 1, 1, 1]


def test_waiting_for_a_lock_is_told(tmp_path: Path) -> None:
    """Who waits longer than a second is told for what."""
    lines: list[str] = []
    lock = tmp_path / "a.lock"
    told = threading.Event()

    def hear(line: str) -> None:
        lines.append(line)
        told.set()

    def wait() -> None:
        with locked(lock, what="board image bookworm", progress=hear):
            pass

    with locked(lock, what="x", progress=_quiet):
        thread = threading.Thread(target=wait)
        thread.start()
        assert told.wait(5)
    thread.join()

    assert lines[0].startswith("waiting for another run that makes the board image bookworm")


def test_is_locked(tmp_path: Path) -> None:
    """A lock is seen while it is held and not after; a missing file is free."""
    lock = tmp_path / "a.lock"

    assert not is_locked(lock)
    with locked(lock, what="x", progress=_quiet):
        assert is_locked(lock)
    assert not is_locked(lock)


def test_published_appears_whole(tmp_path: Path) -> None:
    """The folder has its name only after the block ended well."""
    folder = tmp_path / "done"

    with published(folder) as unfinished:
        (unfinished / "a").write_text("x")
        assert not folder.exists()

    assert (folder / "a").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


def test_failed_publishing_leaves_nothing(tmp_path: Path) -> None:
    """A block that raises leaves neither the folder nor its temporary sibling."""

    def fill() -> None:
        with published(tmp_path / "done") as unfinished:
            (unfinished / "a").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill()

    assert list(tmp_path.iterdir()) == []


def test_publishing_removes_what_a_crash_left(tmp_path: Path) -> None:
    """A temporary folder of a run that was killed is gone after the next."""
    (tmp_path / ".new-done-abc").mkdir()
    (tmp_path / ".new-other-abc").mkdir()

    with published(tmp_path / "done"):
        pass

    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-other-abc", "done"]


def test_holes_take_no_room(tmp_path: Path) -> None:
    """A sparse file counts with what it takes on the disk."""
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as stream:
        stream.truncate(1 << 30)
    (tmp_path / "full").write_bytes(b"x" * 10_000)

    assert stored_bytes(sparse) < 1 << 20
    assert stored_bytes(tmp_path) >= 10_000
