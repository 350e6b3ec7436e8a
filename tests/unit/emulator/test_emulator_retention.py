"""Prepared snapshots leave the cache when newer ones took their place, and never while they may be in use."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.emulator import retention

ABOUT = "snapshot.json"


def make(folder: Path, name: str, *, unused_s: float) -> None:
    """Put a snapshot of 8 KiB there that was last used some time ago."""
    snapshot = folder / name
    snapshot.mkdir()
    (snapshot / "disk.qcow2").write_bytes(b"x" * 8192)
    (snapshot / ABOUT).write_text("{}")
    used_at = time.time() - unused_s
    os.utime(snapshot / ABOUT, (used_at, used_at))


def test_the_last_used_of_each_kind_stay(tmp_path: Path) -> None:
    """Six of one kind and two of another: the two least used of the six go; booted ones are not looked at."""
    for number in range(6):
        make(tmp_path, f"cortex-a53-icount-prepared-{number}", unused_s=86400 + number)
    for number in range(2):
        make(tmp_path, f"cortex-a53-plain-prepared-{number}", unused_s=86400)
    make(tmp_path, "cortex-a53-icount-booted-0", unused_s=10**7)

    freed = retention.remove_unused(tmp_path, ABOUT)

    assert freed >= 2 * 8192
    left = {each.name for each in tmp_path.iterdir()}
    assert len(left) == 7
    assert {"cortex-a53-icount-prepared-4", "cortex-a53-icount-prepared-5"}.isdisjoint(left)


def test_what_was_used_within_the_hour_stays(tmp_path: Path) -> None:
    """However many there are; a use renews it."""
    for number in range(6):
        make(tmp_path, f"max-icount-prepared-{number}", unused_s=7200)
        retention.mark_used(tmp_path / f"max-icount-prepared-{number}" / ABOUT)

    assert retention.remove_unused(tmp_path, ABOUT) == 0
    assert len(list(tmp_path.iterdir())) == 6
