"""On a real deterministic board: one small operator more is seen in the count and named as its cause."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.campaign.cell import CellWork, measure
from harness.campaign.plan import plan_cell
from harness.campaign.reference import Controller
from harness.campaign.session import wanted_by_limits
from harness.device import open_device
from harness.gate import judge_cell
from harness.gate.where import attribute_work
from harness.records.outcome import Outcome
from harness.spec.model import Artifact, Device, Emulation, Limit, LimitKind, Origin, Suite, Tier, Workload
from harness.stats import Evidence

pytestmark = [pytest.mark.board, pytest.mark.system]

BUILD = "onnxruntime==1.32.0"
HERE = Origin("farm.yaml", 1, 1)
BOARD = Device("a53", "qemu-cortex-a53", ("qemu-cortex-a53",), Tier.DETERMINISTIC, HERE,
               emulation=Emulation("cortex-a53", 1 << 30, icount=True))  # fmt: skip
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


def test_a_planted_operator_of_a_thousandth_is_named(tmp_path: Path) -> None:
    """Counted to the digit, within the limit, and attributed to the right node and to nothing else."""
    work = plan(tmp_path)

    with open_device(BOARD, builds=[("onnxruntime", BUILD)], progress=lambda _line: None) as board:
        found = measure(board, work, Controller(), threading.Event())
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
