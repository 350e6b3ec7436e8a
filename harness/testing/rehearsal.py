"""A rehearsal: a folder with a farm, a suite and fake models, and pytest run in it as a user would.

For tests of the plugin and of whoever extends it. Every run is a child process; nothing outside of the folder is
written.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.testing.device import BoardScript, write_data
from harness.testing.played import FakeModel, write_model

FARM = """\
farm: rehearsal
devices:
  - {name: a53, profile: qemu-cortex-a53}
  - {name: a72, profile: qemu-cortex-a72}
  - {name: here, profile: host}
"""
SUITE = """\
suite: digits
workload: {task: classification, data: eval.npz, repeat: 20}
reference: fp32.onnx
artifacts:
  int8: {file: int8.onnx, runtime: onnxruntime, baseline: old.onnx}
  lite: {file: lite.tflite, runtime: tflite}
gates:
  all:
    accuracy.top1: {min: 90 %, drop: 5 pp}
    memory.peak: {max: 64 MiB}
  qemu-cortex-a53:
    work.instructions: {max: 1.2 M}
  host:
    latency.p95: {max: 4 ms}
"""
MODELS = ("fp32.onnx", "int8.onnx", "old.onnx", "lite.tflite")
CONFTEST = """\
from harness.testing.device import BoardScript, FakeBoards

def pytest_fleetgate_boards(config):
    return FakeBoards({scripts})
"""
LONGEST_S = 90.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A pytest run that ended."""

    code: int
    text: str
    verdicts: dict[str, Any] = field(default_factory=dict)
    """verdicts.json of the run, empty when there was none."""
    record: dict[str, Any] = field(default_factory=dict)
    """run.json of the run."""
    path: Path | None = None
    """The run folder."""

    def is_reproduced(self) -> bool:
        """Judge the stored run again and compare byte for byte."""
        from harness.records.canonical import to_json
        from harness.store import replay

        assert self.path is not None, "no run was recorded"
        return to_json(replay(self.path)) == (self.path / "verdicts.json").read_bytes()

    def outcomes(self) -> dict[str, str]:
        """Give `cell metric kind` -> outcome."""
        return {
            f"{verdict['cell']} {verdict['metric']} {verdict['kind']}": verdict["outcome"]
            for verdict in self.verdicts.get("verdicts", ())
        }


class Rehearsal:
    """The folder and its runs."""

    def __init__(self, folder: Path, *, suite: str = SUITE, farm: str = FARM) -> None:
        self.folder = folder
        self.suite_folder = folder / "digits"
        self.suite_folder.mkdir(parents=True)
        (folder / "farm.yaml").write_text(farm, encoding="utf-8")
        (self.suite_folder / "digits.suite.yaml").write_text(suite, encoding="utf-8")
        write_data(self.suite_folder / "eval.npz")
        for seed, name in enumerate(MODELS):
            write_model(self.suite_folder / name, FakeModel(seed=seed))
        self.script({})

    def script(self, scripts: Mapping[str, BoardScript]) -> None:
        """Say what goes wrong on which board."""
        (self.folder / "conftest.py").write_text(CONFTEST.format(scripts=dict(scripts)), encoding="utf-8")

    def model(self, name: str, model: FakeModel) -> None:
        """Replace a model of the suite."""
        write_model(self.suite_folder / name, model)

    def run(self, *arguments: str, devices: str = "farm.yaml") -> Finished:
        """Run pytest to its end."""
        with self._start(arguments, devices) as process:
            try:
                text, _ = process.communicate(timeout=LONGEST_S)
            finally:
                _end(process)
        return self._finished(process.returncode, text)

    def run_until(self, ready: Callable[[Path], bool], stop: signal.Signals, *arguments: str) -> Finished:
        """Run pytest and send it a signal once `ready(run folder)` holds."""
        with self._start(arguments, "farm.yaml") as process:
            try:
                end = time.monotonic() + LONGEST_S
                while time.monotonic() < end and not any(map(ready, self._runs())):
                    time.sleep(0.05)
                process.send_signal(stop)
                text, _ = process.communicate(timeout=LONGEST_S)
            finally:
                _end(process)
        return self._finished(process.returncode, text)

    def _start(self, arguments: tuple[str, ...], devices: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        if devices:
            command.append(f"--devices={devices}")
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "COLUMNS": "120"}
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_obey_ctrl_c,  # noqa: PLW1509  no thread of ours runs yet
        )

    def _runs(self) -> list[Path]:
        return sorted(self.folder.glob("reports/runs/2*"))

    def _finished(self, code: int, text: str) -> Finished:
        runs = self._runs()
        if not runs or not (runs[-1] / "run.json").exists():
            return Finished(code, text)
        verdicts, record = (json.loads((runs[-1] / name).read_bytes()) for name in ("verdicts.json", "run.json"))
        return Finished(code, text, verdicts, record, runs[-1])


def _obey_ctrl_c() -> None:
    """Undo what a shell does to its background jobs (ignore SIGINT), which a child would inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the run's process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
