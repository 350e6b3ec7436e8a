"""Which wheels a board gets: tags, markers, traps, and the cache that works offline."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from harness.device import runtime
from harness.device.runtime import requirement_of, resolve
from harness.device.wheel import (
    check_fits,
    known_constraints,
    missing_requirements,
    parse_requirement,
    platform_tags,
)
from harness.errors import InfraError
from harness.records.run import Facts

FACTS = Facts("aarch64", "Cortex-A53", 1, (), 1 << 30, "6.1", "glibc 2.36", "3.11.2", "cp311")


def test_platform_tags_end_with_the_boards_libc() -> None:
    """Every manylinux level from the board's own libc down is asked for, and none above it."""
    tags = platform_tags(FACTS)

    assert tags[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_17_aarch64" in tags
    assert "manylinux2014_aarch64" in tags
    assert "manylinux_2_37_aarch64" not in tags
    assert "manylinux_2_16_aarch64" not in tags


def test_musl_board_gets_musl_wheels() -> None:
    """A musl board is never given a glibc wheel."""
    tags = platform_tags(dataclasses.replace(FACTS, libc="musl 1.2.4"))

    assert tags == ("musllinux_1_2_aarch64", "musllinux_1_1_aarch64")


def test_unknown_libc_is_an_error() -> None:
    """A board that does not name its libc gets no guess."""
    with pytest.raises(InfraError, match="C library"):
        platform_tags(dataclasses.replace(FACTS, libc=""))


@pytest.mark.parametrize(
    "text", ["", "--index-url=x", "-r file", "x @ file:///etc/passwd", "../x", "x; python_version<'3'", "a b"]
)
def test_requirement_is_a_name_and_a_version(text: str) -> None:
    """No option, path, address or marker reaches pip."""
    with pytest.raises(InfraError):
        parse_requirement(text)


def test_old_tflite_runtime_gets_numpy_1() -> None:
    """tflite-runtime 2.14 with numpy 2 imports and then dies: pip is told."""
    assert known_constraints(Requirement("tflite_runtime==2.14.0")) == ("numpy<2",)
    assert known_constraints(Requirement("onnxruntime==1.32.0")) == ()


@pytest.mark.parametrize(("libc", "fits"), [("glibc 2.31", False), ("glibc 2.34", True), ("glibc 2.41", True)])
def test_litert_needs_the_libc_that_it_does_not_name(libc: str, fits: bool) -> None:
    """ai-edge-litert is refused where its libraries could not be loaded, with the reason."""
    facts = dataclasses.replace(FACTS, libc=libc)

    if fits:
        check_fits(Requirement("ai-edge-litert==2.3.0"), facts)
    else:
        with pytest.raises(InfraError, match=r"2\.34.*glibc 2\.31"):
            check_fits(Requirement("ai-edge-litert==2.3.0"), facts)


@pytest.mark.parametrize(("python", "fits"), [("3.11.2", False), ("3.12.0", True), ("3.13.5", True)])
def test_executorch_needs_a_new_python(python: str, fits: bool) -> None:
    """A board whose Python is too old hears which board would do."""
    facts = dataclasses.replace(FACTS, python=python)

    if fits:
        check_fits(Requirement("executorch-numpy-runtime==1.4.0"), facts)
    else:
        with pytest.raises(InfraError, match=r"needs Python 3\.12 or newer, and the board has 3\.11\.2.*Debian 13"):
            check_fits(Requirement("executorch-numpy-runtime==1.4.0"), facts)


def make_wheel(folder: Path, name: str, *requirements: str) -> Path:
    """Write a wheel that has metadata and nothing else."""
    path = folder / f"{name}-1-py3-none-any.whl"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        "Version: 1",
        *(f"Requires-Dist: {text}" for text in requirements),
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.dist-info/METADATA", "\n".join(lines) + "\n\n")
    return path


def test_markers_are_those_of_the_board(tmp_path: Path) -> None:
    """What only the board's Python or machine needs is found, whatever runs pip."""
    wheel = make_wheel(
        tmp_path,
        "runtime",
        "always>=1",
        "there",
        "for-old; python_version < '3.12'",
        "for-new; python_version >= '3.12'",
        "for-intel; platform_machine == 'x86_64'",
        "for-arm; platform_machine == 'aarch64'",
        "extra-only; extra == 'gpu'",
    )

    missing = missing_requirements([wheel, make_wheel(tmp_path, "There")], FACTS)

    assert missing == ("always>=1", "for-arm", "for-old")


def test_cached_wheels_need_neither_network_nor_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once fetched, an environment is resolved from its lock file alone; its id hangs on the bytes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def download(self: object, requirements: tuple[str, ...], folder: Path) -> None:
        calls.append(requirements)
        make_wheel(folder, "onnxruntime", "numpy" if len(calls) == 1 else "numpy>=0")
        if "numpy" in requirements:
            make_wheel(folder, "numpy")

    monkeypatch.setattr(runtime._Pip, "download", download)

    first = resolve("onnxruntime", "onnxruntime==1", FACTS, progress=lambda line: None)
    again = resolve("onnxruntime", "onnxruntime==1", FACTS, progress=lambda line: None)

    assert calls == [("onnxruntime==1",), ("onnxruntime==1", "numpy")]
    assert again == first
    assert [wheel.filename for wheel in first.wheels] == ["numpy-1-py3-none-any.whl", "onnxruntime-1-py3-none-any.whl"]
    digest = hashlib.sha256(first.wheels[0].path.read_bytes()).hexdigest()
    assert first.wheels[0].sha256 == digest
    lock = json.loads((first.wheels[0].path.parent / "lock.json").read_text())
    assert lock["asked"] == ["onnxruntime==1"]


def test_damaged_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that changed in the cache is an error that names the folder, never sent to a board."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runtime._Pip, "download", lambda self, requirements, folder: make_wheel(folder, "onnxruntime"))
    env = resolve("onnxruntime", "onnxruntime==1", FACTS, progress=lambda line: None)
    env.wheels[0].path.write_bytes(b"other")

    with pytest.raises(InfraError, match="damaged"):
        resolve("onnxruntime", "onnxruntime==1", FACTS, progress=lambda line: None)


def test_defaults_and_system() -> None:
    """A family without a named build gets its default; `system` installs nothing; an unknown family is an error."""
    assert requirement_of("tflite", "") == "ai-edge-litert==2.3.0"
    assert resolve("tflite", "system", FACTS, progress=lambda line: None).wheels == ()
    with pytest.raises(InfraError, match="no default build"):
        requirement_of("unheard-of", "")


def test_pip_that_finds_nothing_is_explained() -> None:
    """The error names the board's Python, machine and libc, and the way out."""
    said = "ERROR: Could not find a version that satisfies x==1\nERROR: No matching distribution found for x==1\n"

    error = runtime._explain(said, "wheels of x==1 for Python 3.13.5, aarch64, glibc 2.41")

    assert "Python 3.13.5, aarch64, glibc 2.41" in str(error)
    assert "runtimes:" in str(error)
