"""The cache folder of emulated boards: where it is, locks between runs, and publishing a finished folder.

Layout: `images/<id>/` (kernel, initramfs, root disk, keys), `images/<id>/snapshots/<id>/` (disk and machine state),
`run/<name>/` (one running machine). Knows nothing of Debian, QEMU or SSH.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import ImageError

Progress = Callable[[str], None]

_POLL_S = 0.1
_REMIND_S = 10.0


def cache_folder() -> Path:
    """Name the user's cache folder, `$XDG_CACHE_HOME/fleetgate` or `~/.cache/fleetgate`; made private on first use."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(root) if Path(root).is_absolute() else Path.home() / ".cache") / "fleetgate"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ImageError(f"cannot make the cache folder {folder}: {error.strerror}; set XDG_CACHE_HOME") from error
    return folder


def is_locked(path: Path) -> bool:
    """Tell whether some process or thread holds the lock file now."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def locked(path: Path, *, what: str, progress: Progress) -> Iterator[None]:
    """Hold an exclusive lock between threads, processes and runs; the kernel frees it when the holder dies.

    Args:
        path: the lock file, made if absent and never removed (removing a lock file races with its next taker).
        what: what the holder does, for the waiting lines: "image bookworm".
        progress: gets a line when this call has to wait, and again every ten seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        started = time.monotonic()
        said = -_REMIND_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - started
                if waited > 1 and waited - said >= _REMIND_S:
                    progress(f"waiting for another run that makes the {what} ({waited:.0f} s)")
                    said = waited
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def published(folder: Path) -> Iterator[Path]:
    """Give a temporary sibling of `folder` to fill; it takes the name `folder` only if the block ends well.

    The caller holds the lock of `folder`: what a crashed run left under a temporary name is removed here.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".new-{folder.name}-"
    for stale in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield unfinished
        for path in unfinished.rglob("*"):
            if path.is_file() and not path.is_symlink():
                _sync(path)
        unfinished.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def stored_bytes(path: Path) -> int:
    """Sum the bytes that a file or folder takes on the disk; holes of sparse files are not counted."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    total = 0
    for each in paths:
        with contextlib.suppress(FileNotFoundError):
            total += each.lstat().st_blocks * 512
    return total


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
