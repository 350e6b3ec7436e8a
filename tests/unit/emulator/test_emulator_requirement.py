"""Missing system packages are named before anything is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.emulator.image import requirement
from harness.emulator.image.requirement import BUILD_PROGRAMS, RUN_PROGRAMS, missing_packages, require_to_run
from harness.errors import ImageError


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a machine on which no program is found but those put into the returned folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(requirement, "_SYSTEM_FOLDERS", ())
    return tmp_path


def _put(folder: Path, name: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_every_missing_program_has_its_package(bare_path: Path) -> None:
    """On a bare machine all programs are listed with their Debian packages."""
    missing = missing_packages(BUILD_PROGRAMS)

    assert missing == BUILD_PROGRAMS
    assert missing["qemu-system-aarch64"] == "qemu-system-arm"


def test_what_is_there_is_not_listed(bare_path: Path) -> None:
    """A program in PATH is not missing."""
    _put(bare_path, "ssh")

    assert "ssh" not in missing_packages(RUN_PROGRAMS)


def test_one_keyring_is_enough(tmp_path: Path) -> None:
    """Either name of the keyring file will do; none names its package."""
    keyrings = (tmp_path / "a.gpg", tmp_path / "a.pgp")
    assert list(missing_packages({}, keyrings=keyrings).values()) == ["debian-archive-keyring"]

    keyrings[1].write_text("")

    assert missing_packages({}, keyrings=keyrings) == {}


def test_error_gives_the_command(bare_path: Path) -> None:
    """The error names program and package and the one command that installs them all."""
    with pytest.raises(ImageError) as caught:
        require_to_run()

    message = str(caught.value)
    assert "qemu-system-aarch64 (package qemu-system-arm)" in message
    assert "apt-get install openssh-client qemu-system-arm qemu-utils" in message
