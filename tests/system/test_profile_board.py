"""On a real deterministic board: one small operator more is named as the cause of a change, and profiles repeat."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.agent.message import SessionRequest
from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.isa_request import board_of
from harness.campaign.plan import plan_cell
from harness.campaign.reference import Controller
from harness.campaign.session import wanted_by_limits
from harness.campaign.work import CellWork
from harness.device import OpenDevice, SessionResult, open_device
from harness.gate import judge_cell
from harness.gate.where import attribute_work
from harness.records.outcome import Outcome
from harness.records.profile import parse_profile, read_text
from harness.spec.model import Artifact, Limit, LimitKind, Origin, Suite
from harness.spec.workload import Workload
from harness.stats import Evidence

pytestmark = [pytest.mark.board, pytest.mark.system]

BUILD = "onnxruntime==1.32.0"
LITE = "tflite-runtime==2.14.0"
DIGITS = Path(__file__).parents[2] / "suites" / "digits"
HERE = Origin("s.suite.yaml", 1, 1)
BOARD = board_of("cortex-a53")
REGRESS = Limit("work.instructions", LimitKind.REGRESS, 0.01, "1 %", HERE)
CHANNELS = 32


def write_model(path: Path, *, planted: bool) -> Path:
    """Write three convolutions (some million instructions), with or without a Clip that changes no answer."""
    rng = np.random.default_rng(3)
    shape = (CHANNELS, CHANNELS, 3, 3)
    weights = [numpy_helper.from_array(rng.normal(0, 0.05, shape).astype(np.float32), f"w{k}") for k in range(3)]
    ends = [numpy_helper.from_array(np.array(end, np.float32), name) for name, end in (("low", -1e6), ("high", 1e6))]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], "conv0", pads=[1] * 4),
        helper.make_node("Conv", ["a", "w1"], ["b"], "conv1", pads=[1] * 4),
        helper.make_node("Conv", ["b", "w2"], ["c"], "conv2", pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "pool"),
        *([helper.make_node("Clip", ["d", "low", "high"], ["e"], "planted")] if planted else []),
        helper.make_node("Flatten", ["e" if planted else "d"], ["y"], "flatten"),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, 14, 14])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CHANNELS])
    graph = helper.make_graph(nodes, "g", [given], [made], weights + ends)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def plan(folder: Path) -> CellWork:
    """Plan the model with the planted operator against the one without."""
    np.savez(folder / "d.npz", x=np.ones((2, CHANNELS, 14, 14), np.float32))
    baseline = str(write_model(folder / "old.onnx", planted=False))
    artifact = Artifact("new", str(write_model(folder / "new.onnx", planted=True)), "onnxruntime", HERE, baseline,
                        build=BUILD)  # fmt: skip
    workload = Workload("parity", str(folder / "d.npz"), repeat=30, warmup=3)
    suite = Suite("s", str(folder / "s.suite.yaml"), workload, (artifact,), ())
    planned, files = plan_cell(suite, artifact, BOARD, limits=(REGRESS,))
    return CellWork(planned, BOARD, files, wanted_by_limits(planned))


@pytest.fixture(scope="module")
def board() -> Iterator[OpenDevice]:
    """A deterministic board, open for the whole module."""
    with open_device(BOARD, builds=[("onnxruntime", BUILD), ("tflite", LITE)], progress=lambda _line: None) as opened:
        yield opened


def test_a_planted_operator_of_a_thousandth_is_named(board: OpenDevice, tmp_path: Path) -> None:
    """Counted to the digit, within the limit, and attributed to the right node and to nothing else."""
    work = plan(tmp_path)

    found = CellMeasurement(board, work, threading.Event(), Budget()).run(Controller())
    evidence = Evidence(work.planned, BOARD, found.record, found.arrays, board.record.snapshot)
    _, verdict = judge_cell(work.planned, evidence, None)
    explained = attribute_work(evidence)

    assert (found.record.incidents, found.record.notes) == ((), ())
    assert verdict.outcome is Outcome.PASS
    assert explained is not None
    assert 0.0003 < explained.ratio < 0.003
    assert [(change.status.value, change.shown.name) for change in explained.changes] == [("new", "planted")]
    assert explained.changes[0].delta > 0
    assert abs(explained.rest) < 0.001 * explained.baseline
    assert verdict.where.startswith("+0.")
    assert "new Clip planted" in verdict.where


def test_parts_of_a_tflite_model_repeat_and_add_up(board: OpenDevice) -> None:
    """Two profiles are equal to the digit, and their sum is what the whole counts beyond the call around it."""
    env = board.ensure_runtime("tflite", LITE)
    model, data = board.deploy(DIGITS / "digits_int8.tflite"), board.deploy(DIGITS / "digits_sample.npz")

    def ask(kind: str) -> SessionResult:
        return board.measure(SessionRequest("", kind, env.id, "tflite", model, ".tflite", data, repeat=24, warmup=3))

    first, second = (parse_profile(read_text(ask("profile").arrays["profile"])) for _ in range(2))
    whole = float(np.median(ask("timing").arrays["instructions"]))

    assert first == second
    assert [operator.kind for operator in first.operators[:3]] == ["QUANTIZE", "RESHAPE", "DEPTHWISE_CONV_2D"]
    parts = sum(operator.instructions for operator in first.operators)
    assert 0 < whole - parts - first.outside < 0.02 * whole
