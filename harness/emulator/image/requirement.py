"""The system programs that making and running a board takes, and the Debian package of each.

Knows names only; runs nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.errors import ImageError

RUN_PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
}
"""Program -> Debian package: needed to start a board whose image is in the cache."""

BUILD_PROGRAMS = RUN_PROGRAMS | {
    "mmdebstrap": "mmdebstrap",
    "ssh-keygen": "openssh-client",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "setpriv": "util-linux",
}
"""Program -> Debian package: needed to build an image."""

_NAMESPACE_PROGRAMS = {"newuidmap": "uidmap"}
"""Without root, mmdebstrap unpacks in a user namespace."""

_KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{suffix}") for suffix in ("gpg", "pgp"))
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def program(name: str) -> str | None:
    """Find a program in PATH or in the sbin folders, which users without root often lack in PATH."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    return shutil.which(name, path=folders)


def missing_packages(programs: dict[str, str], *, keyrings: Iterable[Path] = ()) -> dict[str, str]:
    """List what is absent.

    Args:
        programs: program -> Debian package.
        keyrings: files of which one must exist.

    Returns:
        Missing program or file -> Debian package, in the given order; empty when all is there.
    """
    missing = {name: package for name, package in programs.items() if program(name) is None}
    keyring_paths = tuple(keyrings)
    if keyring_paths and not any(path.exists() for path in keyring_paths):
        missing[str(keyring_paths[0])] = "debian-archive-keyring"
    return missing


def missing_to_build() -> dict[str, str]:
    """List what building an image, and then running it, lacks here: missing program or file -> Debian package."""
    programs = BUILD_PROGRAMS if os.geteuid() == 0 else BUILD_PROGRAMS | _NAMESPACE_PROGRAMS
    return missing_packages(programs, keyrings=_KEYRINGS)


def require_to_run() -> None:
    """Raise ImageError that names each missing package unless boards can be started."""
    _require(missing_packages(RUN_PROGRAMS), purpose="start emulated boards")


def require_to_build() -> None:
    """Raise ImageError that names each missing package unless an image can be built."""
    _require(missing_to_build(), purpose="build the board image")


def _require(missing: dict[str, str], *, purpose: str) -> None:
    if not missing:
        return
    packages = " ".join(sorted(set(missing.values())))
    reasons = ", ".join(f"{name} (package {package})" for name, package in missing.items())
    sudo = "" if os.geteuid() == 0 else "sudo "
    raise ImageError(f"cannot {purpose}: missing {reasons}; install with: {sudo}apt-get install {packages}")
