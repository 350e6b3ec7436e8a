"""What goes into an image: packages, kernel, root file system, identity. No network, no QEMU."""

from __future__ import annotations

import dataclasses
import io
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.emulator.image import ImageRecipe, build_image, find_image, load_image
from harness.emulator.image.kernel import initramfs, read_kernel
from harness.emulator.image.packages import Selection, extract_command, extract_packages
from harness.emulator.image.requirement import program
from harness.emulator.image.rootfs import Keys, configure, is_wanted, make_disk, merged_path, unpack
from harness.errors import ImageError

_VERSION = "6.1.0-1-cloud-arm64"
_MODULES = f"./lib/modules/{_VERSION}"


def _tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Make a tar like mmdebstrap's: a kernel, a plain and a packed module, busybox, a manual, a library link."""
    files = {
        f"./boot/vmlinuz-{_VERSION}": b"KERNEL",
        "./bin/busybox": b"BUSYBOX",
        f"{_MODULES}/kernel/drivers/virtio/virtio.ko": b"VIRTIO",
        f"{_MODULES}/kernel/drivers/net/virtio_net.ko.xz": lzma.compress(b"NET"),
        f"{_MODULES}/modules.builtin": b"kernel/drivers/virtio/virtio_ring.ko\n",
        "./usr/share/man/man1/sh.1": b"manual",
        "./lib/aarch64-linux-gnu/libz.so.1.2": b"LIBZ",
        "./usr/bin/python3.11": b"PYTHON",
    }
    links = {"./lib/aarch64-linux-gnu/libz.so.1": "libz.so.1.2", "./usr/bin/python3": "python3.11"}
    return _tar(tmp_path / "packages.tar", files, links)


def test_extract_runs_no_foreign_instruction() -> None:
    """Packages are unpacked for arm64 by the variant that configures nothing."""
    command = extract_command(Selection("bookworm", ("python3", "dash")), Path("out.tar"), mirror="", is_root=True)

    assert {"--variant=extract", "--architectures=arm64", "--mode=root", "--include=python3,dash"} <= set(command)
    assert command[-2:] == ["bookworm", "out.tar"]


def test_extract_without_root_names_the_mirror() -> None:
    """A user without root unpacks in a user namespace; a mirror comes last."""
    selection = Selection("trixie", ("dash",))
    command = extract_command(selection, Path("o.tar"), mirror="http://127.0.0.1/debian", is_root=False)

    assert "--mode=unshare" in command
    assert command[-3:] == ["trixie", "o.tar", "http://127.0.0.1/debian"]


def test_packages_can_be_had_without_what_they_depend_on() -> None:
    """Kernel headers of another architecture come as files: their dependencies would be a second compiler."""
    selection = Selection("bookworm", ("make",), ("amd64", "arm64"), alone=("linux-headers-6.1.0-1-arm64:arm64",))

    command = extract_command(selection, Path("o.tar"), mirror="", is_root=True)

    assert {"--architectures=amd64,arm64", "--include=make"} <= set(command)
    (hook,) = (part for part in command if "apt-get" in part)
    assert "download linux-headers-6.1.0-1-arm64:arm64\n" in hook


@pytest.fixture
def fake_mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a shell script in mmdebstrap's place; the test writes it."""
    folder = tmp_path / "programs"
    folder.mkdir()
    script = folder / "mmdebstrap"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return script


def test_failed_extraction_quotes_mmdebstrap(fake_mmdebstrap: Path, tmp_path: Path) -> None:
    """The error carries the last words of mmdebstrap and the way to another mirror; steps were told before."""
    fake_mmdebstrap.write_text("#!/bin/sh\necho I: downloading packages with apt...\necho E: no such suite\nexit 25\n")
    lines: list[str] = []

    with pytest.raises(ImageError, match=r"(?s)exit 25.*FLEETGATE_MIRROR.*E: no such suite"):
        extract_packages(Selection("bookworm", ("dash",)), tmp_path / "o.tar", mirror="", progress=lines.append)

    assert lines == ["packages of bookworm: downloading packages with apt"]


def test_interrupted_extraction_ends_mmdebstrap_alone(fake_mmdebstrap: Path, tmp_path: Path) -> None:
    """An interruption ends mmdebstrap by its process group, which is not the controller's."""
    fake_mmdebstrap.write_text("#!/bin/sh\necho I: downloading packages $$...\nexec sleep 60\n")
    groups: list[int] = []

    def interrupt(line: str) -> None:
        groups.append(int(line.rsplit(maxsplit=1)[1]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_packages(Selection("bookworm", ("dash",)), tmp_path / "o.tar", mirror="", progress=interrupt)

    assert groups[0] != os.getpgrp()
    with pytest.raises(ProcessLookupError):
        os.killpg(groups[0], 0)


def test_modules_come_in_load_order_and_unpacked(packages: Path) -> None:
    """Modules keep the order of the recipe, packed ones are unpacked, built-in ones left out."""
    kernel = read_kernel(packages, ["virtio_ring", "virtio_net", "virtio"])

    assert list(kernel.modules.items()) == [("virtio_net", b"NET"), ("virtio", b"VIRTIO")]
    assert (kernel.version, kernel.image, kernel.busybox) == (_VERSION, b"KERNEL", b"BUSYBOX")


def test_absent_module_is_an_error(packages: Path) -> None:
    """A module that is neither a file nor built in is named."""
    with pytest.raises(ImageError, match="virtio_blk"):
        read_kernel(packages, ["virtio_blk"])


def test_absent_kernel_is_an_error(tmp_path: Path) -> None:
    """Packages without a kernel make no board."""
    with pytest.raises(ImageError, match="no kernel"):
        read_kernel(_tar(tmp_path / "a.tar", {"./bin/busybox": b"B"}), [])


def _cpio_entries(data: bytes) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    offset = 0
    while True:
        assert data[offset : offset + 6] == b"070701"
        fields = [int(data[offset + 6 + 8 * index : offset + 14 + 8 * index], 16) for index in range(13)]
        name_end = offset + 110 + fields[11]
        name = data[offset + 110 : name_end - 1].decode()
        start = name_end + -name_end % 4
        if name == "TRAILER!!!":
            return entries
        entries[name] = data[start : start + fields[6]]
        offset = start + fields[6] + -fields[6] % 4


def test_initramfs_is_readable_cpio(packages: Path) -> None:
    """The archive parses as newc and numbers the modules so that the shell's order is the load order."""
    archive = initramfs(read_kernel(packages, ["virtio_net", "virtio"]))

    entries = _cpio_entries(archive)
    assert entries["modules/00-virtio_net.ko"] == b"NET"
    assert entries["modules/01-virtio.ko"] == b"VIRTIO"
    assert entries["bin/busybox"] == b"BUSYBOX"
    assert entries["init"].startswith(b"#!/bin/busybox sh\n")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("./bin/cat", "usr/bin/cat"),
        ("./usr/bin/cat", "usr/bin/cat"),
        ("./lib/x/y", "usr/lib/x/y"),
        ("./library/x", "library/x"),
        ("./bin", "bin"),
        ("./", "."),
    ],
)
def test_merged_path(name: str, path: str) -> None:
    """Files of /bin, /sbin and /lib land in /usr, others stay."""
    assert merged_path(name) == path


def test_only_what_a_board_needs_is_kept() -> None:
    """Manuals, perl and further modules go; programs, the standard library and configuration stay."""
    kept = ["usr/bin/python3", "usr/lib/python3.11/ssl.py", "etc/ssl/openssl.cnf", "usr/share/python3/x"]
    dropped = ["usr/share/man/x", "usr/lib/aarch64-linux-gnu/perl/x", "usr/lib/modules/6/x", "boot/vmlinuz", "dev/null"]

    assert [is_wanted(path) for path in kept] == [True] * 4
    assert [is_wanted(path) for path in dropped] == [False] * 5


@pytest.fixture
def tree(packages: Path, tmp_path: Path) -> Path:
    """Make the configured root folder of a board."""
    folder = tmp_path / "tree"
    unpack(packages, folder)
    configure(folder, Keys("HOST KEY\n", "ssh-ed25519 HOST\n", "ssh-ed25519 CLIENT\n"))
    return folder


def test_root_folder_is_merged(tree: Path) -> None:
    """The libraries of /lib are found through the link, and links of packages survive."""
    assert (tree / "lib").is_symlink()
    assert (tree / "lib/aarch64-linux-gnu/libz.so.1").read_bytes() == b"LIBZ"
    assert (tree / "usr/bin/python3").read_bytes() == b"PYTHON"
    assert not (tree / "usr/share/man").exists()


def test_root_folder_has_what_configuring_would_make(tree: Path) -> None:
    """Users, keys and init are there with the modes that sshd insists on."""
    assert "sshd:x:100" in (tree / "etc/passwd").read_text()
    assert (tree / "etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
    assert (tree / "root/.ssh/authorized_keys").read_text() == "ssh-ed25519 CLIENT\n"
    assert (tree / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (tree / "sbin/board-init").stat().st_mode & 0o111
    assert (tree / "usr/sbin/init").readlink() == Path("../bin/busybox")


def test_password_logins_are_off(tree: Path) -> None:
    """Only keys log in, whatever the packages' defaults are."""
    lines = (tree / "etc/ssh/sshd_config").read_text().splitlines()

    assert "PasswordAuthentication no" in lines
    assert "KbdInteractiveAuthentication no" in lines


def test_disk_is_sparse_and_owned_by_root(tree: Path, tmp_path: Path) -> None:
    """The ext4 file holds the tree, owned by root whoever built it, and takes little room."""
    disk = tmp_path / "root.img"

    make_disk(tree, disk, size_bytes=256 << 20)

    shown = subprocess.run(
        [program("debugfs") or "debugfs", "-R", "stat /root/.ssh/authorized_keys", str(disk)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "User:     0" in shown
    assert "Mode:  0600" in shown
    assert disk.stat().st_size == 256 << 20
    assert disk.stat().st_blocks * 512 < 32 << 20


def test_disk_of_another_user_is_given_to_root(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a builder who is not root belong to root on the board, or sshd would refuse the keys."""
    if os.geteuid() == 0:
        os.chown(tree / "root/.ssh/authorized_keys", 1000, 1000)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    make_disk(tree, tmp_path / "root.img", size_bytes=64 << 20)

    command = [program("debugfs") or "debugfs", "-R", "stat /root/.ssh/authorized_keys", str(tmp_path / "root.img")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "User:     0   Group:     0" in shown


def test_disk_identity_does_not_vary(tree: Path, tmp_path: Path) -> None:
    """Directory hashes are seeded with a constant, so that two builds look files up with the same work."""
    seeds = []
    for name in ("a", "b"):
        make_disk(tree, tmp_path / name, size_bytes=64 << 20)
        command = [program("debugfs") or "debugfs", "-R", "stats", str(tmp_path / name)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seeds.append([line for line in shown.splitlines() if "Hash Seed" in line or "UUID" in line])

    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 2


def test_image_id_follows_the_recipe() -> None:
    """Each field of the recipe changes the id; the same recipe keeps it."""
    recipe = ImageRecipe()
    changed = [
        dataclasses.replace(recipe, suite="trixie"),
        dataclasses.replace(recipe, packages=(*recipe.packages, "strace")),
        dataclasses.replace(recipe, kernel_package="linux-image-arm64"),
        dataclasses.replace(recipe, modules=recipe.modules[1:]),
        dataclasses.replace(recipe, disk_bytes=recipe.disk_bytes + 1),
    ]

    ids = [each.image_id() for each in (recipe, *changed)]

    assert len(set(ids)) == len(ids)
    assert ImageRecipe().image_id() == recipe.image_id()


def _put_image(folder: Path) -> None:
    folder.mkdir(parents=True)
    about = {"suite": "bookworm", "kernel_version": "6.1", "host_key": "ssh-ed25519 A", "content": "c0ffee"}
    (folder / "image.json").write_text(json.dumps(about))


def test_cached_image_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the image in the cache neither network nor build programs are asked for, and nothing is said."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    recipe = ImageRecipe()
    _put_image(tmp_path / "fleetgate/images" / recipe.image_id())
    lines: list[str] = []

    image = build_image(recipe, progress=lines.append)

    assert (image.suite, image.host_key, image.id) == ("bookworm", "ssh-ed25519 A", recipe.image_id())
    assert lines == []


def test_absent_image_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for an image does not build it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert find_image(ImageRecipe()) is None


def test_foreign_folder_is_no_image(tmp_path: Path) -> None:
    """A folder without a readable description is refused with the way out."""
    with pytest.raises(ImageError, match="fleetgate image clean"):
        load_image(tmp_path)


def test_unknown_suite_is_named() -> None:
    """A Debian release that boards cannot run is refused before anything is fetched."""
    with pytest.raises(ImageError, match=r"sid.*bookworm, trixie"):
        build_image(ImageRecipe(suite="sid"), progress=lambda _line: None)
