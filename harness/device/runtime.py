"""Runtimes as wheels that fit a board, fetched once by the controller: the board itself needs no internet.

Owns the cache of wheels (`<cache>/wheels/<key>/` with `lock.json`) and the call of pip. Which package index is asked is
pip's own configuration. With the key in the cache nothing touches the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.device.wheel import check_fits, known_constraints, missing_requirements, parse_requirement, platform_tags
from harness.emulator.cache import cache_folder, locked, published
from harness.errors import InfraError
from harness.records.run import Facts

SYSTEM = "system"
DEFAULTS = {
    "onnxruntime": "onnxruntime==1.32.0",
    "tflite": "ai-edge-litert==2.3.0",
    "llamacpp": "xllamacpp==2026.10.11549",
    "executorch": "executorch-numpy-runtime==1.4.0",
    "command": SYSTEM,
}
"""What a device gets that names no build of its own."""
PREPARED = ("onnxruntime", "tflite")
"""Families whose default every prepared emulated board has, so that plans share a snapshot. llama.cpp is none of them:
its 33 MB would be fetched, sent and unpacked for everybody who runs no language model."""
PIP_S = 900.0
ROUNDS = 5
LOCK = "lock.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of an environment."""

    filename: str
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class RuntimeEnv:
    """A runtime build for one kind of board; `id` is the hash of all that is in it, or `system`."""

    id: str
    family: str
    requirement: str
    wheels: tuple[Wheel, ...] = ()


def requirement_of(family: str, build: str) -> str:
    """Return the requirement to install: what was asked, else the family's default.

    Raises:
        InfraError: the family has no default.
    """
    if build or family in DEFAULTS:
        return build or DEFAULTS[family]
    raise InfraError(
        f"there is no default build of the runtime {family!r}: name one under `runtimes:`", code="requirement"
    )


def resolve(
    family: str,
    build: str,
    facts: Facts,
    *,
    progress: Callable[[str], None],
    cancel: threading.Event | None = None,
) -> RuntimeEnv:
    """Give the wheels of a runtime for a board, from the cache or, once, from the package index.

    Args:
        family: `onnxruntime`, `tflite`, `llamacpp`, `executorch` or `command`.
        build: a requirement, `system`, or empty for the default.
        facts: of the board: Python, ABI, libc and architecture decide.
        progress: gets a line for whatever takes longer than some seconds.
        cancel: set by another thread to give up.

    Raises:
        InfraError: no wheel fits the board, the index cannot be reached, or this Python has no pip.
    """
    text = requirement_of(family, build)
    if text == SYSTEM:
        return RuntimeEnv(SYSTEM, family, SYSTEM)
    requirement = parse_requirement(text)
    check_fits(requirement, facts)
    asked = (str(requirement), *known_constraints(requirement))
    options = [*_python_options(facts), *(f"--platform={tag}" for tag in platform_tags(facts))]
    key = hashlib.sha256(json.dumps([_FORMAT, asked, options]).encode()).hexdigest()[:24]
    folder = cache_folder() / "wheels" / key
    what = f"wheels of {requirement} for Python {facts.python}, {facts.architecture}, {facts.libc}"
    if not (folder / LOCK).exists():
        with locked(folder.with_name(f"{key}.lock"), what=what, progress=progress):
            if not (folder / LOCK).exists():
                progress(f"fetching {what} (once)")
                _fetch(folder, asked, _Pip(options, what, progress, cancel or threading.Event()), facts)
    return _load(folder, family, text, facts)


def _python_options(facts: Facts) -> list[str]:
    return ["--implementation=cp", f"--python-version={facts.python}", f"--abi={facts.python_abi}"]


def _load(folder: Path, family: str, requirement: str, facts: Facts) -> RuntimeEnv:
    wheels = []
    for entry in json.loads((folder / LOCK).read_text(encoding="utf-8"))["wheels"]:
        path = folder / entry["filename"]
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                raise InfraError(f"{path} is damaged: remove the folder {folder}", code="integrity")
        wheels.append(Wheel(entry["filename"], entry["sha256"], path))
    identity = json.dumps([facts.python_abi, sorted(wheel.sha256 for wheel in wheels)])
    return RuntimeEnv(hashlib.sha256(identity.encode()).hexdigest()[:32], family, requirement, tuple(wheels))


def _fetch(folder: Path, asked: tuple[str, ...], pip: _Pip, facts: Facts) -> None:
    with published(folder) as unfinished:
        wanted = asked
        for _ in range(ROUNDS):
            pip.download(wanted, unfinished)
            missing = missing_requirements(sorted(unfinished.glob("*.whl")), facts)
            if not missing:
                break
            wanted = (*asked, *missing)
        else:
            raise InfraError(f"{pip.what}: needs more and more packages: {', '.join(missing)}", code="wheel")
        entries = []
        for path in sorted(unfinished.glob("*.whl")):
            with path.open("rb") as file:
                entries.append({"filename": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()})
        lock = {"asked": list(asked), "wheels": entries}
        (unfinished / LOCK).write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Pip:
    """Calls of pip for a Python that is not its own."""

    options: list[str]
    what: str
    progress: Callable[[str], None]
    cancel: threading.Event

    def download(self, requirements: tuple[str, ...], folder: Path) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            argv = [*_pip_command(), "--disable-pip-version-check", "--no-input", "download", "--quiet"]
            argv += ["--only-binary=:all:", f"--dest={folder}", *self.options, *requirements]
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                self._watch(process)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.returncode:
                said.seek(0)
                raise _explain(said.read(), self.what)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        started = said = time.monotonic()
        while process.poll() is None:
            now = time.monotonic()
            if self.cancel.wait(0.1):
                raise InfraError("stopped", code="cancelled")
            if now - started > PIP_S:
                raise InfraError(f"pip did not fetch the {self.what} within {PIP_S:.0f} s", code="wheel")
            if now - said > 10.0:
                said = now
                self.progress(f"fetching {self.what} ({now - started:.0f} s)")


def _pip_command() -> list[str]:
    for argv in ([sys.executable, "-m", "pip"], [shutil.which("python3") or "python3", "-m", "pip"], ["pip3"], ["pip"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*argv, "--version"], capture_output=True, timeout=60, check=False).returncode == 0:
                return argv
    raise InfraError(
        f"runtimes for boards are fetched with pip, which neither {sys.executable} nor the PATH has: install pip there",
        code="missing_program",
    )


def _explain(said: str, what: str) -> InfraError:
    lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    text = "; ".join(lines[-3:]) or said.strip()[-500:]
    if re.search(r"No matching distribution|ResolutionImpossible|conflicting dependencies", text):
        return InfraError(
            f"there are no {what}: {text}. Name another build under `runtimes:` of the device", code="wheel"
        )
    return InfraError(f"pip could not fetch the {what}: {text}", code="wheel")
