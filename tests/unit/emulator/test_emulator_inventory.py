"""Listing and emptying the cache, on folders that look like images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.emulator import command
from harness.emulator.cache import locked
from harness.emulator.inventory import clean_cache, list_cache
from harness.emulator.machine.workspace import Workspace, workspaces_folder
from harness.errors import ImageError


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a cache with one image that has two snapshots."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "fleetgate/images"
    image = folder / "0123456789abcdef"
    for key in ("", "onnxruntime==1"):
        snapshot = image / "snapshots" / f"a53-{key or 'booted'}"
        snapshot.mkdir(parents=True)
        (snapshot / "snapshot.json").write_text(json.dumps({"key": key, "qemu": "7.2.22"}))
    about = {"suite": "bookworm", "kernel_version": "6.1", "host_key": "ssh-ed25519 A", "content": "c0ffee"}
    (image / "image.json").write_text(json.dumps(about))
    (image / "kernel").write_bytes(b"x" * 2_000_000)
    return folder


def test_list_names_images_and_snapshots(images: Path) -> None:
    """Each image is followed by its snapshots, with what they hold and take."""
    entries = list_cache()

    assert [(entry.kind, entry.description) for entry in entries] == [
        ("image", "bookworm, 6.1"),
        ("snapshot", "booted, QEMU 7.2.22"),
        ("snapshot", "with runtimes installed, QEMU 7.2.22"),
    ]
    assert entries[0].stored_bytes >= 2_000_000


def test_clean_empties_and_tells(images: Path) -> None:
    """Cleaning removes everything and gives the bytes freed."""
    assert clean_cache() >= 2_000_000
    assert list_cache() == []
    assert clean_cache() == 0


def test_clean_refuses_while_a_board_runs(images: Path) -> None:
    """The disks of a running board are not pulled away."""
    workspace = Workspace(workspaces_folder())

    with pytest.raises(ImageError, match="run from the cache"):
        clean_cache()

    workspace.close()
    assert len(list_cache()) == 3


def test_clean_refuses_while_something_is_made(images: Path) -> None:
    """An image that another run builds just now is left alone."""
    with (
        locked(images / "fedcba9876543210.lock", what="x", progress=lambda _line: None),
        pytest.raises(ImageError, match="fedcba9876543210"),
    ):
        clean_cache()


def test_commands_print_and_succeed(images: Path) -> None:
    """`image list` and `image clean` say what there is in lines and end well."""
    lines: list[str] = []

    assert command.show(out=lines.append) == 0
    assert command.clean(out=lines.append) == 0
    assert command.show(out=lines.append) == 0

    assert "image 0123456789abcdef (bookworm, 6.1)" in lines[0]
    assert lines[-2].endswith("MiB freed")
    assert "fleetgate image build" in lines[-1]
