"""The root file system of a board: unpacked packages plus what configuring them would have made, as an ext4 file.

No mount, no root, no foreign instruction: `mke2fs -d` copies a folder, `debugfs` gives the files to root where the
builder is not root. The layout is merged-/usr for every suite. Knows nothing of kernels and QEMU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from harness.emulator.image.requirement import program
from harness.errors import ImageError

_MERGED = ("bin", "sbin", "lib")
"""Folders of / that are links into /usr."""

_DROPPED = (
    "boot/",
    "dev/",
    "etc/initramfs-tools/",
    "etc/kernel/",
    "etc/udev/",
    "usr/include/",
    "usr/lib/aarch64-linux-gnu/perl",
    "usr/lib/klibc/",
    "usr/lib/linux-image-",
    "usr/lib/modules/",
    "usr/lib/systemd/",
    "usr/lib/udev/",
    "usr/lib/valgrind/",
    "usr/share/",
    "var/cache/",
    "var/lib/apt/",
    "var/lib/dpkg/",
)
_KEPT = ("usr/share/python3/", "usr/share/misc/", "usr/share/zoneinfo/", "usr/share/base-files/")
"""Exceptions to _DROPPED. A board needs no manuals, perl, udev or modules beyond those of the initramfs."""

_FOLDERS = {
    **dict.fromkeys(("dev", "proc", "sys", "run", "etc/ssh", "mnt", "opt", "srv", "var/log", "var/lib"), 0o755),
    **dict.fromkeys(("etc", "usr", "usr/bin", "usr/sbin", "usr/lib", "usr/local/bin", "usr/local/lib"), 0o755),
    "root": 0o700,
    "root/.ssh": 0o700,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}
_MODES = {"etc/shadow": 0o600, "sbin/board-init": 0o755}

# Fixed: the same packages give the same directory hashes, so that two builds look files up with the same work.
_FILE_SYSTEM_ID = "7a1f0c52-6d1b-4f0e-9a55-0f1ee7a7e000"
_TIME_S = 1735689600
"""2025-01-01, the file system's own times, and the board's date where the clock must not depend on the day."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What the board must hold so that both sides know each other: OpenSSH texts."""

    host_private: str
    host_public: str
    client_public: str


def unpack(tar: Path, folder: Path) -> None:
    """Unpack what a board needs of the packages, in merged-/usr layout, owned by whoever runs this."""
    folder.mkdir(exist_ok=True)
    for top in _MERGED:
        (folder / "usr" / top).mkdir(parents=True, exist_ok=True)
        (folder / top).symlink_to(f"usr/{top}")
    with tarfile.open(tar) as archive:
        for member in archive:
            path = merged_path(member.name)
            if not is_wanted(path) or path in {".", *_MERGED}:
                continue
            _unpack_one(archive, member, folder, folder / path)


def merged_path(name: str) -> str:
    """Give the place of a package's file where /bin, /sbin and /lib are links into /usr."""
    path = str(PurePosixPath(name.removeprefix("./").lstrip("/") or "."))
    return f"usr/{path}" if path.split("/", 1)[0] in _MERGED and "/" in path else path


def is_wanted(path: str) -> bool:
    """Tell whether a file belongs on a board; `path` is relative to / and merged."""
    return path.startswith(_KEPT) or not path.startswith(_DROPPED)


def configure(folder: Path, keys: Keys) -> None:
    """Write what the packages' configuration would have made: users, init, sshd, keys, links."""
    folder.chmod(0o755)
    for name, mode in _FOLDERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(mode)
    _copy_tree(resources.files(__package__).joinpath("board"), folder)
    for name, mode in _MODES.items():
        (folder / name).chmod(mode)
    _write(folder / "etc/ssh/ssh_host_ed25519_key", keys.host_private, 0o600)
    _write(folder / "etc/ssh/ssh_host_ed25519_key.pub", keys.host_public, 0o644)
    _write(folder / "root/.ssh/authorized_keys", keys.client_public, 0o600)
    _link(folder / "usr/bin/sh", "dash")
    _link(folder / "usr/sbin/init", "../bin/busybox")
    _link(folder / "usr/bin/awk", "busybox")
    _link(folder / "etc/mtab", "../proc/self/mounts")


def make_disk(folder: Path, disk: Path, *, size_bytes: int) -> None:
    """Make a sparse raw ext4 file of `size_bytes` that holds `folder`, everything owned by root.

    Raises:
        ImageError: mke2fs or debugfs failed; the message carries what they said.
    """
    with disk.open("wb") as stream:
        stream.truncate(size_bytes)
    options = f"root_owner=0:0,hash_seed={_FILE_SYSTEM_ID},lazy_itable_init=1,lazy_journal_init=1"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "board", "-U", _FILE_SYSTEM_ID, "-E", options]
    _run([*command, "-d", str(folder), str(disk)])
    if os.geteuid() != 0:
        _give_to_root(folder, disk)


def _give_to_root(folder: Path, disk: Path) -> None:
    lines = []
    for path in folder.rglob("*"):
        inside = f'"/{path.relative_to(folder)}"'
        lines += [f"set_inode_field {inside} uid 0", f"set_inode_field {inside} gid 0"]
    _run(["debugfs", "-w", "-f", "/dev/stdin", str(disk)], stdin="\n".join(lines) + "\n")


def _run(command: list[str], *, stdin: str = "") -> None:
    found = program(command[0]) or command[0]
    environment = os.environ | {"LC_ALL": "C", "E2FSPROGS_FAKE_TIME": str(_TIME_S)}
    done = subprocess.run(
        [found, *command[1:]], input=stdin, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise ImageError(f"{command[0]} could not make the root disk (exit {done.returncode}):\n  {said}")


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, target: Path) -> None:
    # By hand: tarfile's own filters do not exist in Debian 12's Python, and are the default in 3.14.
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(member.mode & 0o7777 | 0o700)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        target.hardlink_to(folder / merged_path(member.linkname))
    elif member.isreg():
        stream = archive.extractfile(member)
        assert stream is not None
        with target.open("wb") as file:
            shutil.copyfileobj(stream, file)
        target.chmod(member.mode & 0o7777)
        os.utime(target, (member.mtime, member.mtime))


def _copy_tree(source: Traversable, folder: Path) -> None:
    for each in source.iterdir():
        target = folder / each.name
        if each.is_dir():
            target.mkdir(exist_ok=True)
            _copy_tree(each, target)
        else:
            target.unlink(missing_ok=True)
            target.write_bytes(each.read_bytes())
            target.chmod(0o644)


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)
