"""The wheel holds all that an installed user needs: profiles, templates, agent. Proved outside of the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.system

FARM = """\
farm: installed
devices:
  - {name: here, profile: host, root: %s, sessions: 5}
"""
SUITE = """\
suite: installed
workload: {task: classification, data: digits_eval.npz, repeat: 30}
reference: digits_fp32.onnx
artifacts:
  int8: {file: digits_int8_qdq.onnx, runtime: onnxruntime}
gates:
  all:
    accuracy.top1: {min: 90 %, drop: 2 pp}
    memory.peak: {max: 400 MiB}
    latency.p50: {max: 1 s}
"""


def _run(*command: str | Path, cwd: Path, expect: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == expect, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _wheelhouse(wheel: Path) -> Path:
    """What the wheel depends on, fetched once per list of dependencies, so that the second time works offline."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    key = hashlib.sha256(repr((project["dependencies"], sys.version_info[:2])).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetgate" / "wheelhouse"
    folder = cache / key
    if not folder.is_dir():
        fresh = cache / f".{key}.{os.getpid()}"
        _run(sys.executable, "-m", "pip", "download", "-q", "-d", fresh, wheel, cwd=ROOT)
        for copy in fresh.glob("fleetgate-*"):
            copy.unlink()
        fresh.rename(folder)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment outside of the checkout with the wheel in it."""
    folder = tmp_path_factory.mktemp("installed")
    _run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder
    )
    (wheel,) = folder.glob("fleetgate-*.whl")
    _run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    _run(python, "-m", "pip", "install", "-q", "--no-index", "--find-links", _wheelhouse(wheel), wheel, cwd=folder)
    return folder


def test_an_installed_wheel_measures_this_machine_and_decides(installed: Path, tmp_path: Path) -> None:
    """A run in a folder of the user's own ends with GO, a report and a record that replays."""
    for name in ("digits_fp32.onnx", "digits_int8_qdq.onnx", "digits_eval.npz"):
        shutil.copy(ROOT / "suites" / "digits" / name, tmp_path)
    (tmp_path / "farm.yaml").write_text(FARM % (tmp_path / "board"))
    (tmp_path / "mine.suite.yaml").write_text(SUITE)
    programs = installed / "venv" / "bin"

    shown = _run(programs / "pytest", "--devices=farm.yaml", cwd=tmp_path)

    assert "GO" in shown
    assert (tmp_path / "reports" / "latest.html").read_text().startswith("<!doctype html>")
    where = _run(programs / "python", "-c", "import harness; print(harness.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed)
    again = _run(programs / "fleetgate", "gate", "reports/runs/latest", "--json", cwd=tmp_path)
    assert again == (tmp_path / "reports" / "runs" / "latest" / "verdicts.json").read_text()


def test_an_installed_wheel_brings_profiles_and_schemas(installed: Path, tmp_path: Path) -> None:
    """A farm that names every shipped profile is understood, and the schemas are printed, without the checkout."""
    shipped = ["rpi4", "rpi5", "jetson-orin-nano", "imx8mp"]
    boards = "".join(f"  - {{name: b{n}, profile: {name}, ssh: b{n}}}\n" for n, name in enumerate(shipped))
    emulated = "".join(f"  - {{name: q{cpu}, profile: qemu-cortex-{cpu}}}\n" for cpu in ("a53", "a72", "a76"))
    (tmp_path / "farm.yaml").write_text(f"farm: shipped\ndevices:\n{boards}{emulated}")
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    programs = installed / "venv" / "bin"

    shown = _run(programs / "pytest", "--devices=farm.yaml", "--co", cwd=tmp_path)

    assert "2 emulated-deterministic, 1 emulated-functional, 4 hardware" in shown
    assert '"farm"' in _run(programs / "fleetgate", "schema", "farm", cwd=tmp_path)
