"""This machine calibrated with a real model through its own sshd, and a gate that knows it afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.calibration import read_calibration

pytestmark = pytest.mark.system
SUITES = Path(__file__).parents[2] / "suites" / "digits"
SUITE = """\
suite: digits
workload: {task: classification, data: digits_eval.npz, repeat: 100}
artifacts:
  int8: {file: digits_int8_qdq.onnx, runtime: onnxruntime, baseline: digits_int8_v1.onnx}
gates:
  all: {latency.p50: {max: 1 s, regress: 100 %}}
"""


def test_this_machine_is_calibrated(tmp_path: Path) -> None:
    """Twelve pairs of a model with itself: noise, no false alarm at a margin of 100 %, and the file in its place."""
    farm = f"farm: f\ndevices: [{{name: here, profile: host, root: {tmp_path / 'root'}}}]\n"
    (tmp_path / "farm.yaml").write_text(farm, encoding="utf-8")
    for name in ("digits_eval.npz", "digits_int8_qdq.onnx", "digits_int8_v1.onnx"):
        shutil.copy(SUITES / name, tmp_path)
    (tmp_path / "digits.suite.yaml").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "harness.cli", "calibrate", "--devices=farm.yaml", ".", "--pairs=12"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    (noise,) = read_calibration(tmp_path / "reports/calibration/digits/int8.here.json").noise
    assert noise.pairs >= 12
    assert 0.0 < noise.sd < 1.0
    assert noise.alarms == 0
    assert "latency.p50: noise" in done.stdout
