"""The kernel and the initramfs of a board, taken from the tar of unpacked packages.

Writes the cpio archive itself (format "newc", Linux Documentation/driver-api/early-userspace/buffer-format.rst): no
cpio program, no root, and the same bytes each time. Knows nothing of the root file system.
"""

from __future__ import annotations

import lzma
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from harness.errors import ImageError

_KERNEL = re.compile(r"boot/vmlinuz-(?P<version>.+)")
_MODULE = re.compile(r"(?:usr/)?lib/modules/[^/]+/kernel/.*/(?P<name>[^/]+)\.ko(?P<packed>\.xz)?")
_BUILTIN = re.compile(r"(?:usr/)?lib/modules/[^/]+/modules\.builtin")
_BUSYBOX = re.compile(r"(?:usr/)?bin/busybox")

_FOLDER, _REGULAR, _CHARACTER = 0o040755, 0o100755, 0o020600


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the packages hold for booting: raw bytes, modules in load order."""

    version: str
    image: bytes
    busybox: bytes
    modules: dict[str, bytes]


def read_kernel(tar: Path, module_names: Sequence[str]) -> Kernel:
    """Pick kernel, busybox and modules out of the tar.

    Args:
        tar: what `packages.extract_packages` wrote.
        module_names: file names without suffix, in load order; one that is built into the kernel is left out.

    Raises:
        ImageError: a part is missing, or a module is neither a file nor built in.
    """
    version, image, busybox, builtin = "", b"", b"", ""
    found: dict[str, bytes] = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            if not member.isreg():
                continue
            if match := _KERNEL.fullmatch(path):
                version, image = match["version"], _read(archive, member)
            elif _BUSYBOX.fullmatch(path):
                busybox = _read(archive, member)
            elif _BUILTIN.fullmatch(path):
                builtin = _read(archive, member).decode()
            elif (match := _MODULE.fullmatch(path)) and match["name"] in module_names:
                data = _read(archive, member)
                found[match["name"]] = lzma.decompress(data) if match["packed"] else data
    if not image or not busybox:
        raise ImageError(f"the packages hold no {'busybox' if image else 'kernel'}")
    return Kernel(version, image, busybox, _in_load_order(found, builtin, module_names))


def initramfs(kernel: Kernel) -> bytes:
    """Pack the cpio archive that loads the modules and mounts the root disk."""
    init = resources.files(__package__).joinpath("initramfs", "init").read_bytes()
    parts = [_entry(folder, _FOLDER) for folder in ("bin", "dev", "modules", "root")]
    parts.append(_entry("dev/console", _CHARACTER, device=(5, 1)))
    parts.append(_entry("bin/busybox", _REGULAR, kernel.busybox))
    parts.append(_entry("init", _REGULAR, init))
    for index, (name, data) in enumerate(kernel.modules.items()):
        parts.append(_entry(f"modules/{index:02d}-{name}.ko", _REGULAR, data))
    parts.append(_entry("TRAILER!!!", 0))
    return b"".join(parts)


def _in_load_order(found: dict[str, bytes], builtin: str, module_names: Sequence[str]) -> dict[str, bytes]:
    ordered: dict[str, bytes] = {}
    for name in module_names:
        if name in found:
            ordered[name] = found[name]
        elif f"/{name}.ko" not in builtin:
            raise ImageError(f"kernel module {name} is neither a file of the kernel package nor built in")
    return ordered


def _entry(name: str, mode: int, data: bytes = b"", *, device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = name.encode() + b"\0"
    inode, owner, links, time, no_device, checksum = 0, 0, 1, 0, 0, 0
    fields = (inode, mode, owner, owner, links, time, len(data), no_device, no_device, *device, len(encoded), checksum)
    header = b"070701" + b"".join(f"{field:08x}".encode() for field in fields)
    return _padded(header + encoded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()
