"""Which prepared snapshots stay in the cache: every change of Fleetgate or of a runtime makes new ones of 0.5 GB each.

Of a kind of board those stay that were used last, and all that were used within the hour: a board may start from them
just now. Booted snapshots stay; others build on them, and they are few.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from harness.emulator.cache import stored_bytes

KEPT = 4
"""Of one kind of board: a few versions that are worked with side by side."""
GRACE_S = 3600.0
_PREPARED = "-prepared-"
_GOING = ".old-"


def mark_used(file: Path) -> None:
    """Note that a snapshot is started from now, by the time of a file of it."""
    os.utime(file)


def remove_unused(folder: Path, about: str) -> int:
    """Remove prepared snapshots that were not used lately.

    Args:
        folder: of the snapshots of one image.
        about: name of the file in each of which the time tells the last use.

    Returns:
        The bytes freed.
    """
    kinds: dict[str, list[tuple[float, Path]]] = {}
    for file in folder.glob(f"*{_PREPARED}*/{about}"):
        kinds.setdefault(file.parent.name.rsplit("-", 1)[0], []).append((file.stat().st_mtime, file.parent))
    freed = 0
    for found in kinds.values():
        for used_at, each in sorted(found, reverse=True)[KEPT:]:
            if time.time() - used_at > GRACE_S:
                freed += _remove(each)
    return freed


def _remove(snapshot: Path) -> int:
    """Take the name away first: a snapshot is whole or it is not there."""
    size = stored_bytes(snapshot)
    going = snapshot.with_name(f"{_GOING}{snapshot.name}-{os.getpid()}")
    try:
        snapshot.rename(going)
    except FileNotFoundError:  # another run removes it
        return 0
    shutil.rmtree(going, ignore_errors=True)
    return size
