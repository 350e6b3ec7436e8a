"""What the cache of emulated boards holds, and emptying it."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.emulator.cache import is_locked, stored_bytes
from harness.emulator.image import images_folder, load_image
from harness.emulator.machine.workspace import count_in_use, reap, workspaces_folder
from harness.emulator.snapshot import ABOUT
from harness.errors import ImageError


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One image or snapshot; `stored_bytes` does not count a snapshot into its image."""

    kind: str
    """`image` or `snapshot`."""
    name: str
    description: str
    stored_bytes: int
    folder: Path


def list_cache() -> list[CacheEntry]:
    """List the finished images, each followed by its snapshots, by name."""
    entries: list[CacheEntry] = []
    for folder in sorted(images_folder().glob("*/")):
        if folder.name.startswith("."):
            continue
        snapshots = [_snapshot(each) for each in sorted(folder.glob(f"snapshots/*/{ABOUT}"))]
        with contextlib.suppress(ImageError):
            image = load_image(folder)
            size = sum(stored_bytes(path) for path in folder.iterdir() if path.is_file())
            entries.append(CacheEntry("image", image.id, f"{image.suite}, {image.kernel_version}", size, folder))
        entries += snapshots
    return entries


def clean_cache() -> int:
    """Remove all images and snapshots and give the bytes freed.

    Raises:
        ImageError: a board runs or an image or snapshot is being made; nothing was removed.
    """
    reap(workspaces_folder())
    if running := count_in_use(workspaces_folder()):
        raise ImageError(f"{running} emulated board(s) run from the cache; end those runs first")
    locks = [*images_folder().glob("*.lock"), *images_folder().glob("*/snapshots/*.lock")]
    if busy := [lock.stem for lock in locks if is_locked(lock)]:
        raise ImageError(f"another run makes {busy[0]} just now; try again when it is done")
    freed = 0
    for folder in images_folder().glob("*/"):
        freed += stored_bytes(folder)
        shutil.rmtree(folder)
    return freed


def _snapshot(about_file: Path) -> CacheEntry:
    about = json.loads(about_file.read_text(encoding="utf-8"))
    state = "with runtimes installed" if about["key"] else "booted"
    folder = about_file.parent
    return CacheEntry("snapshot", folder.name, f"{state}, QEMU {about['qemu']}", stored_bytes(folder), folder)
