"""What kernel modules are built with, and which kernels they are built for. No network, no compiler."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.emulator.image import Image
from harness.emulator.image.modules import build_modules, modules_folder, select_packages
from harness.errors import ImageError

_IMAGE = Image("0123456789abcdef", "bookworm", Path("/images/x"), "6.1.0-56-arm64", "ssh-ed25519 A", "c0ffee")


def test_headers_and_source_are_those_of_the_kernel() -> None:
    """A module fits one kernel: its headers by their whole version, the compiler of the release for arm64."""
    selection = select_packages("bookworm", "6.1.0-56-arm64", "x86_64")

    assert {"gcc-12-aarch64-linux-gnu", "linux-kbuild-6.1"} <= set(selection.packages)
    assert selection.architectures == ("amd64", "arm64")
    assert selection.alone == (
        "linux-headers-6.1.0-56-arm64:arm64",
        "linux-headers-6.1.0-56-common",
        "linux-source-6.1",
    )


def test_an_arm_computer_needs_no_second_compiler() -> None:
    """There the board's architecture is the computer's own."""
    selection = select_packages("bookworm", "6.1.0-56-arm64", "aarch64")

    assert "gcc-12" in selection.packages
    assert selection.architectures == ("arm64",)


@pytest.mark.parametrize("kernel", ["6.1.0-56-cloud-arm64", "6.12.117+deb13-arm64"])
def test_other_kernels_are_refused(kernel: str) -> None:
    """The cloud kernel has no I2C to load drivers on; newer releases name their packages otherwise."""
    suite = "trixie" if kernel.startswith("6.12") else "bookworm"
    image = dataclasses.replace(_IMAGE, suite=suite, kernel_version=kernel)

    with pytest.raises(ImageError, match="cannot be built"):
        build_modules(image, ("drivers/hwmon/ina2xx.c",), progress=lambda _: None)


def test_modules_that_are_there_are_not_built_again(tmp_path: Path) -> None:
    """The second time needs neither network nor compiler, whatever the order of the sources; others need a build."""
    image = dataclasses.replace(_IMAGE, folder=tmp_path)
    sources = ("drivers/hwmon/ina2xx.c", "drivers/i2c/i2c-stub.c")
    folder = modules_folder(image, sources)
    folder.mkdir()

    assert build_modules(image, sources[::-1], progress=lambda _: None) == folder
    assert modules_folder(image, sources[:1]) != folder
