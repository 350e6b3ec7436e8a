"""Kernel modules that Debian's kernel leaves out, built from Debian's own source of that very kernel.

Nothing is installed here and no source is kept: compiler, kernel headers and source are unpacked into the cache, used
there with `chroot`, and removed; the modules stay beside the image whose kernel they fit. Knows no driver.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from harness.emulator.cache import locked, published
from harness.emulator.image.build import Image
from harness.emulator.image.packages import Selection, extract_packages
from harness.emulator.image.requirement import program, require_to_build
from harness.emulator.image.rootfs import unpack
from harness.errors import ImageError

_COMPILERS = {"bookworm": "gcc-12"}
"""Debian release -> compiler of its kernel."""
_TOOLS = ("make", "dash", "coreutils", "sed", "grep", "mawk", "findutils")
_VERSION = re.compile(r"(?P<series>\d+\.\d+)(?P<rest>\.\d+-\d+)-arm64")
_FORMAT = 1
_LONGEST_S = 600.0
# A kernel's Makefile writes to /dev/null and compiles it: the real one is bound, for this process and its children.
_INSIDE = 'mount --rbind /dev "$1/dev" && exec chroot "$1" sh -c "$2"'


def build_modules(image: Image, sources: Sequence[str], *, progress: Callable[[str], None], mirror: str = "") -> Path:
    """Give a folder with one .ko file per C file; built on first use, which alone needs the network (about a minute).

    Args:
        image: its kernel is what the modules are for.
        sources: files of the kernel's tree, `drivers/hwmon/ina2xx.c`; headers may be among them.
        progress: gets a line whenever something takes longer than about two seconds.
        mirror: URL of a Debian mirror; empty: as for images.

    Raises:
        ImageError: a system package is missing, packages cannot be had any more, or a module does not compile.
    """
    if image.suite not in _COMPILERS or _VERSION.fullmatch(image.kernel_version) is None:
        raise ImageError(f"modules for the kernel {image.kernel_version} of {image.suite} cannot be built")
    folder = modules_folder(image, sources)
    if folder.exists():
        return folder
    require_to_build()
    with locked(folder.with_name(f"{folder.name}.lock"), what="kernel modules", progress=progress):
        if not folder.exists():
            started = time.monotonic()
            progress(f"building {len(sources)} files of the kernel {image.kernel_version} (once, needs the network)")
            with published(folder) as unfinished:
                _build(image, sources, unfinished, mirror=mirror, progress=progress)
            progress(f"the kernel modules are built in {time.monotonic() - started:.0f} s")
    return folder


def modules_folder(image: Image, sources: Sequence[str]) -> Path:
    """Name the folder of the modules, built or not."""
    digest = hashlib.sha256(json.dumps([_FORMAT, sorted(sources)]).encode()).hexdigest()[:12]
    return image.folder / f"modules-{digest}"


def select_packages(suite: str, kernel_version: str, machine: str) -> Selection:
    """Choose what a module is built with.

    Args:
        suite: Debian release.
        kernel_version: `6.1.0-56-arm64`.
        machine: of this computer, as `platform.machine` says it.
    """
    match = _VERSION.fullmatch(kernel_version)
    assert match is not None
    series, compiler = match["series"], _COMPILERS[suite]
    is_native = machine == "aarch64"
    cross = compiler if is_native else f"{compiler}-aarch64-linux-gnu"
    return Selection(
        suite,
        (*_TOOLS, cross, f"linux-kbuild-{series}"),
        ("arm64",) if is_native else ("amd64", "arm64"),
        alone=(
            f"linux-headers-{kernel_version}:arm64",
            f"linux-headers-{series}{match['rest']}-common",
            f"linux-source-{series}",
        ),
    )


def _build(image: Image, sources: Sequence[str], folder: Path, *, mirror: str, progress: Callable[[str], None]) -> None:
    tar, tree = folder / "packages.tar", folder / "tree"
    try:
        selection = select_packages(image.suite, image.kernel_version, platform.machine())
        extract_packages(selection, tar, mirror=mirror, progress=progress)
    except ImageError as error:
        hint = f"Is the kernel {image.kernel_version} no longer there? Then remove the image: rm -r {image.folder}"
        raise ImageError(f"{error}\n{hint}") from error
    progress("unpacking compiler, kernel headers and source")
    unpack(tar, tree)
    tar.unlink()
    (tree / "usr/bin/awk").symlink_to("mawk")
    (tree / "dev").mkdir(exist_ok=True)
    (tree / "tmp").mkdir(exist_ok=True)
    names = [PurePosixPath(source).stem for source in sources if source.endswith(".c")]
    _fetch(tree, sources)
    (tree / "build/Makefile").write_text(f"obj-m := {' '.join(f'{name}.o' for name in names)}\n")
    _compile(tree, image.kernel_version)
    for name in names:
        (tree / f"build/{name}.ko").rename(folder / f"{name}.ko")
    shutil.rmtree(tree)


def _fetch(tree: Path, sources: Sequence[str]) -> None:
    """Take the files out of the one archive that is the kernel's source."""
    (archive_file,) = (tree / "usr/src").glob("linux-source-*.tar.xz")
    missing = set(sources)
    (tree / "build").mkdir()
    with tarfile.open(archive_file) as archive:
        for member in archive:
            path = member.name.partition("/")[2]
            if path in missing and (stream := archive.extractfile(member)) is not None:
                (tree / "build" / PurePosixPath(path).name).write_bytes(stream.read())
                missing.remove(path)
                if not missing:
                    return
    raise ImageError(f"Debian's kernel source has no {', '.join(sorted(missing))}")


def _compile(tree: Path, kernel_version: str) -> None:
    prefix = "" if platform.machine() == "aarch64" else "aarch64-linux-gnu-"
    make = f"make -C /usr/src/linux-headers-{kernel_version} M=/build ARCH=arm64 CROSS_COMPILE={prefix} modules"
    inside = f"set -e; PATH=/usr/sbin:/usr/bin; export PATH; {make}; cd /build; {prefix}strip --strip-debug *.ko"
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
    done = subprocess.run(
        [program("unshare") or "unshare", *namespaces, "sh", "-c", _INSIDE, "-", str(tree), inside],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
        timeout=_LONGEST_S,
        check=False,
    )
    if done.returncode != 0:
        said = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise ImageError(f"the kernel modules did not compile (exit {done.returncode}):\n  {said}")
