"""Build the image of an emulated board, once per recipe, into the cache.

Owns what an image is (recipe, id, files) and the order of the steps. What the steps do is in `packages`, `kernel` and
`rootfs`; running an image is the matter of `harness.emulator.machine`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.emulator.cache import cache_folder, locked, published, stored_bytes
from harness.emulator.image.kernel import initramfs, read_kernel
from harness.emulator.image.packages import PACKAGE_LIST, Selection, extract_packages
from harness.emulator.image.requirement import program, require_to_build
from harness.emulator.image.rootfs import Keys, configure, make_disk, unpack
from harness.errors import ImageError

SUITES = ("bookworm", "trixie")
"""Debian releases that a board can run."""

_PACKAGES = (
    "base-files",
    "bash",
    "busybox-static",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "libc-bin",
    "libgomp1",
    "libstdc++6",
    "openssh-server",
    "procps",
    "python3",
    "sed",
    "tar",
    "util-linux",
)
_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_mmio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio-rng",
)
_FORMAT = 2
"""Of image.json and of the folder; raise it when they change."""

_SOURCES = ("kernel.py", "rootfs.py", "board", "initramfs")
"""The files of this package that decide what is inside an image."""


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """What goes into an image; equal recipes and equal builder sources give the same id."""

    suite: str = "bookworm"
    packages: tuple[str, ...] = _PACKAGES
    kernel_package: str = "linux-image-cloud-arm64"
    modules: tuple[str, ...] = _MODULES
    """Kernel modules of the initramfs, in load order."""
    disk_bytes: int = 4 * 1024**3
    """Size of the root file system; the file is sparse."""

    def image_id(self) -> str:
        """Hash the recipe and the builder's sources: 16 hex digits."""
        digest = hashlib.sha256(json.dumps([_FORMAT, asdict(self)], sort_keys=True).encode())
        for name in _SOURCES:
            _hash_tree(resources.files(__package__).joinpath(name), digest.update)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Image:
    """One built image in the cache; every path is absolute and read only for all but the builder."""

    id: str
    suite: str
    folder: Path
    kernel_version: str
    host_key: str
    """The board's public host key, `ssh-ed25519 AAAA…`: known because the controller made it."""
    content: str
    """Hash over the names and versions of the packages, 12 hex digits: two builds of one recipe may differ in it."""

    @property
    def kernel(self) -> Path:
        """The arm64 kernel for `qemu -kernel`."""
        return self.folder / "kernel"

    @property
    def initramfs(self) -> Path:
        """The cpio archive for `qemu -initrd`."""
        return self.folder / "initramfs.cpio"

    @property
    def root_disk(self) -> Path:
        """The raw ext4 root disk; never written to, boards run on overlays."""
        return self.folder / "root.img"

    @property
    def identity_file(self) -> Path:
        """The private key that may log in as root, mode 0600."""
        return self.folder / "client_key"


def images_folder() -> Path:
    """Name the folder of all images."""
    return cache_folder() / "images"


def load_image(folder: Path) -> Image:
    """Read an image of the cache.

    Raises:
        ImageError: the folder is no finished image.
    """
    try:
        about = json.loads((folder / "image.json").read_text(encoding="utf-8"))
        texts = [str(about[name]) for name in ("suite", "kernel_version", "host_key", "content")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"{folder} is not a board image; remove it with: fleetgate image clean") from error
    suite, kernel_version, host_key, content = texts
    return Image(folder.name, suite, folder, kernel_version, host_key, content)


def find_image(recipe: ImageRecipe) -> Image | None:
    """Give the image of a recipe if the cache has it."""
    folder = images_folder() / recipe.image_id()
    return load_image(folder) if folder.exists() else None


def build_image(recipe: ImageRecipe, *, progress: Callable[[str], None], mirror: str = "") -> Image:
    """Give the image of a recipe, built on first use; needs the network only then.

    Args:
        recipe: what goes into it.
        progress: gets a line whenever something takes longer than about two seconds.
        mirror: URL of a Debian mirror; empty: the variable FLEETGATE_MIRROR, else mmdebstrap's default.

    Raises:
        ImageError: a system package is missing (named, with the command that installs it), or a step failed.
    """
    if recipe.suite not in SUITES:
        raise ImageError(f"no board image for suite {recipe.suite!r}; there are {', '.join(SUITES)}")
    if (image := find_image(recipe)) is not None:
        return image
    require_to_build()
    name = recipe.image_id()
    with locked(images_folder() / f"{name}.lock", what=f"board image {recipe.suite}", progress=progress):
        if (image := find_image(recipe)) is not None:
            return image
        started = time.monotonic()
        try:
            with published(images_folder() / name) as folder:
                _build(recipe, folder, mirror=mirror, progress=progress)
        except OSError as error:
            raise ImageError(f"cannot write the board image to {images_folder()}: {error}") from error
        image = load_image(images_folder() / name)
    size = stored_bytes(image.folder) / 2**20
    progress(f"board image {recipe.suite} is built: {size:.0f} MiB in {time.monotonic() - started:.0f} s")
    return image


def _build(recipe: ImageRecipe, folder: Path, *, mirror: str, progress: Callable[[str], None]) -> None:
    progress(f"building the board image {recipe.suite} (arm64; once, under a minute, needs the network)")
    tar, tree = folder / "packages.tar", folder / "tree"
    selection = Selection(recipe.suite, (*recipe.packages, recipe.kernel_package))
    extract_packages(selection, tar, mirror=mirror, progress=progress)
    progress("unpacking kernel, modules and root file system")
    kernel = read_kernel(tar, recipe.modules)
    (folder / "kernel").write_bytes(kernel.image)
    (folder / "initramfs.cpio").write_bytes(initramfs(kernel))
    unpack(tar, tree)
    tar.unlink()
    keys = Keys(
        host_private=(host := _make_key(folder / "host_key")).read_text(encoding="utf-8"),
        host_public=host.with_suffix(".pub").read_text(encoding="utf-8"),
        client_public=_make_key(folder / "client_key").with_suffix(".pub").read_text(encoding="utf-8"),
    )
    host.unlink()
    configure(tree, keys)
    progress("writing the root disk")
    make_disk(tree, folder / "root.img", size_bytes=recipe.disk_bytes)
    names = (tree / PACKAGE_LIST).read_text(encoding="utf-8").split()
    about = {
        "content": hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12],
        "suite": recipe.suite,
        "kernel_version": kernel.version,
        "host_key": " ".join(keys.host_public.split()[:2]),
        "packages": names,
        "recipe": asdict(recipe),
    }
    (folder / "image.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(tree)


def _make_key(path: Path) -> Path:
    """Make an Ed25519 pair for one purpose on this controller; the private file has mode 0600."""
    command = [program("ssh-keygen") or "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"ssh-keygen could not make {path.name}: {done.stderr.strip()}")
    return path


def _hash_tree(source: Traversable, update: Callable[[bytes], None]) -> None:
    update(source.name.encode() + b"\0")
    if source.is_dir():
        for each in sorted(source.iterdir(), key=lambda entry: entry.name):
            _hash_tree(each, update)
    else:
        update(source.read_bytes() + b"\0")
