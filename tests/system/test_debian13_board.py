"""The board with Debian 13: its Python takes what no older board can, its counts repeat, its own programs measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.agent.message import SessionRequest, ToolRequest
from harness.device import OpenDevice, SessionResult, open_device
from harness.spec import load_farm
from harness.spec.model import Device, Tier

pytestmark = [pytest.mark.board, pytest.mark.system]

DIGITS = Path(__file__).parents[2] / "suites" / "digits"
EXECUTORCH = ("executorch", "executorch-numpy-runtime==1.4.0")
TOOL = """#!/usr/bin/env python3
import json, sys
print(json.dumps({"bytes": len(open(sys.argv[1], "rb").read()), "python": sys.version.split()[0], "ms": 1.5}))
"""


def make_spec(folder: Path) -> Device:
    """Describe the board of the shipped profile."""
    farm = folder / "farm.yaml"
    farm.write_text("farm: t\ndevices:\n  - {name: d13, profile: qemu-debian13}\n", encoding="utf-8")
    return load_farm(farm).devices[0]


def run_session(device: OpenDevice, kind: str, repeat: int = 24) -> SessionResult:
    """Run one session of the quantized ExecuTorch file."""
    env = device.ensure_runtime(*EXECUTORCH)
    model, data = device.deploy(DIGITS / "digits_int8.pte"), device.deploy(DIGITS / "digits_eval.npz")
    request = SessionRequest(
        "", kind, env.id, EXECUTORCH[0], model, ".pte", data, repeat=repeat, samples=128, deadline_s=120
    )
    found = device.measure(request)
    assert found.reply.error is None, found.reply.error
    return found


def run_tool(device: OpenDevice, tool: Path) -> SessionResult:
    """Send a tool and run it on a model."""
    env = device.ensure_runtime("command")
    model = device.deploy(DIGITS / "digits_int8.pte")
    asked = ToolRequest(stored=device.deploy(tool), argv=["{model}"])
    return device.measure(SessionRequest("", "timing", env.id, "command", model, ".pte", "", deadline_s=60, tool=asked))


def test_debian_13_runs_executorch_and_tools_and_counts_alike(tmp_path: Path) -> None:
    """ExecuTorch names the digits on Python 3.13, counts the same twice, and a tool that was sent runs there."""
    spec, tool = make_spec(tmp_path), tmp_path / "tool.py"
    tool.write_text(TOOL, encoding="utf-8")
    with open_device(spec, builds=[EXECUTORCH], progress=lambda line: None) as device:
        facts = device.facts
        judged = run_session(device, "accuracy")
        first, second = (run_session(device, "timing") for _ in range(2))
        told = run_tool(device, tool)

    assert spec.tier is Tier.DETERMINISTIC
    assert (facts.python[:5], facts.libc, facts.cpu) == ("3.13.", "glibc 2.41", "Cortex-A76")
    labels = np.load(DIGITS / "digits_eval.npz")["y"][:128]
    assert (judged.arrays["output_0"].argmax(axis=1) == labels).sum() == 125  # as the float model in onnxruntime
    assert judged.reply.provider == "XnnpackBackend"
    assert first.arrays["instructions"].min() > 100_000
    assert np.mean(first.arrays["instructions"] == second.arrays["instructions"]) > 0.5
    assert told.reply.error is None, told.reply.error
    printed = told.arrays["stdout"].tobytes().decode()
    assert '"python": "3.13.' in printed
    assert f'"bytes": {(DIGITS / "digits_int8.pte").stat().st_size}' in printed
