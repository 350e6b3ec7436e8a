"""Faults planted on an emulated board and on this machine: the real agent, the real files, the real envelopes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from harness.campaign.plan import build
from harness.campaign.selftest.planner import SelfTestPlanner
from harness.farm.boards import RealBoards
from harness.records.trial import Fate
from harness.spec import load_farm, load_suite
from harness.testing.selftest import only, try_gates

DIGITS = Path(__file__).parents[2] / "suites" / "digits"
SUITE = f"""\
suite: tried
workload: {{task: classification, data: {DIGITS / "digits_eval.npz"}, repeat: 30, warmup: 5, deadline: 2 min}}
reference: {DIGITS / "digits_fp32.onnx"}
artifacts:
  int8: {{file: {DIGITS / "digits_int8_qdq.onnx"}, runtime: onnxruntime}}
gates:
  all:
    accuracy.top1: {{min: 96 %, drop: 1.5 pp}}
    memory.peak: {{regress: 5 %}}
  qemu-cortex-a53:
    work.instructions: {{regress: 5 %}}
  host:
    latency.p50: {{max: 1 s}}
"""


def _try(folder: Path, profile: str, faults: Collection[str], more: str = "") -> dict[str, set[Fate]]:
    """Plant some faults on one board; give what became of each."""
    (folder / "farm.yaml").write_text(f"farm: tried\ndevices:\n  - {{name: board, profile: {profile}{more}}}\n")
    (folder / "tried.suite.yaml").write_text(SUITE)
    campaign = build(load_farm(folder / "farm.yaml"), [load_suite(folder / "tried.suite.yaml")])
    (folder / "changed").mkdir()
    judgement = try_gates(only(SelfTestPlanner(folder / "changed").plan(campaign), faults), RealBoards())
    fates: dict[str, set[Fate]] = {}
    for found in judgement.findings:
        fates.setdefault(found.fault, set()).add(found.fate)
    return fates


@pytest.mark.board
@pytest.mark.system
def test_faults_are_killed_on_an_emulated_board(tmp_path: Path) -> None:
    """Busy work that a count must repeat, ballast, flipped weights, files that change, a crash, a forged nonce."""
    faults = {
        "busy", "unrepeatable-count", "ballast", "flipped-weights", "stale-file", "swapped-file", "crash",
        "flaky", "wrong-nonce", "torn-result",
    }  # fmt: skip

    assert _try(tmp_path, "qemu-cortex-a53", faults) == {fault: {Fate.KILLED} for fault in faults}


@pytest.mark.system
def test_faults_are_killed_on_this_machine(tmp_path: Path) -> None:
    """What only a board that is timed by the clock can show: a set clock, made-up facts, a restart, a clock at rest."""
    faults = {"ballast", "clock-step", "governor-changed", "frequency-changed", "restarted", "frozen-clock",
              "dropped-samples", "stale-file", "no-memory", "endless"}  # fmt: skip

    found = _try(tmp_path, "host", faults, f", root: {tmp_path / 'root'}, sessions: 1")

    assert found == {fault: {Fate.KILLED} for fault in faults}
