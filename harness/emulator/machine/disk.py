"""Copy-on-write disks of boards, made by qemu-img. Knows files only."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.emulator.image.requirement import program
from harness.errors import ImageError


def make_overlay(backing: Path, backing_format: str, overlay: Path) -> None:
    """Make an empty qcow2 disk over `backing`, which is only read from then on.

    Raises:
        ImageError: qemu-img failed.
    """
    _qemu_img("create", "-q", "-f", "qcow2", "-F", backing_format, "-b", str(backing), str(overlay))


def name_backing(overlay: Path, backing: str, backing_format: str) -> None:
    """Write another name of the same backing file into an overlay; relative names count from the overlay's folder.

    Raises:
        ImageError: qemu-img failed.
    """
    _qemu_img("rebase", "-u", "-f", "qcow2", "-F", backing_format, "-b", backing, str(overlay))


def _qemu_img(*arguments: str) -> None:
    command = [program("qemu-img") or "qemu-img", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"qemu-img {arguments[0]} failed for {arguments[-1]}: {done.stderr.strip()}")
