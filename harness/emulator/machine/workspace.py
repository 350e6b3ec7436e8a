"""The private folder of one running machine, and the removal of what crashed runs left behind.

A lock file beside each folder is held for as long as the controller lives; a folder whose lock is free is nobody's.
Knows nothing of what is in the folders.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path

from harness.emulator.cache import cache_folder, is_locked


class Workspace:
    """A folder of mode 0700 that disappears with `close`, or with the first start after this process died."""

    def __init__(self, root: Path) -> None:
        """Make the folder and take its lock; `root` is the folder of all workspaces."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path, self._lock = _claim(root)
        self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove the folder and free the lock; further calls do nothing."""
        if self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        _lock_file(self.path).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = -1


def workspaces_folder() -> Path:
    """Name the folder of all workspaces."""
    return cache_folder() / "run"


def reap(root: Path) -> int:
    """Remove every folder whose owner is gone and count them; folders in use are left alone."""
    removed = 0
    for lock in root.glob("*.lock"):
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
                removed += 1
            except BlockingIOError:
                continue
            finally:
                os.close(handle)
    return removed


def count_in_use(root: Path) -> int:
    """Count the folders whose owner lives."""
    return sum(is_locked(lock) for lock in root.glob("*.lock"))


def _lock_file(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _claim(root: Path) -> tuple[Path, int]:
    while True:
        folder = root / secrets.token_hex(4)
        lock = _lock_file(folder)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A reaper may have taken and removed the file between the two calls.
            if os.fstat(handle).st_nlink == 1:
                return folder, handle
        os.close(handle)
