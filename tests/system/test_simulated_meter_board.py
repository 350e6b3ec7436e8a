"""A simulated meter beside a real emulated board: more work on the board is more energy, as the controller reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.agent.message import EXTERNAL, MeterRequest, SessionRequest
from harness.device import open_device
from harness.device.envelope import SessionResult
from harness.device.session import OpenDevice
from harness.spec import load_farm
from harness.stats.trace import PowerTrace

pytestmark = [pytest.mark.board, pytest.mark.system]
WIDTH = 128
PLAIN, MORE = 8, 12
"""Layers of two models: half as much work more."""


def make_chain(path: Path, layers: int) -> Path:
    """Write a model of equal matrix products, so that its work is proportional to their number."""
    weight = np.full((WIDTH, WIDTH), 1.0 / WIDTH, np.float32)
    nodes = [helper.make_node("MatMul", [f"t{k}", "w"], [f"t{k + 1}"]) for k in range(layers)]
    shape = [None, WIDTH, WIDTH]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"t{layers}", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def above_idle_j(seen: SessionResult) -> float:
    """Return the energy of one inference above idle."""
    marks = seen.reply.scalars
    trace = PowerTrace(seen.arrays["power_t_s"], seen.arrays["power_w"])
    window = marks["window_start_s"], marks["window_end_s"]
    idle = [
        trace.between(marks[f"idle_{at}_start_s"], marks[f"idle_{at}_end_s"]).mean_w() for at in ("before", "after")
    ]
    loaded_j = trace.between(*window).energy_j() - float(np.mean(idle)) * (window[1] - window[0])
    return loaded_j / marks["inference_count"]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDevice]:
    """An emulated Cortex-A72, as its profile describes it."""
    farm = tmp_path_factory.mktemp("farm") / "farm.yaml"
    farm.write_text("farm: test\ndevices:\n  - {name: a72, profile: qemu-cortex-a72}\n", encoding="utf-8")
    (device,) = load_farm(farm).devices
    with open_device(device, builds=[("onnxruntime", "onnxruntime==1.32.0")], progress=print) as opened:
        yield opened


def measure(board: OpenDevice, model: Path, data: Path) -> SessionResult:
    """Run one energy session, with windows as short as a test needs them."""
    env = board.ensure_runtime("onnxruntime", "onnxruntime==1.32.0").id
    request = SessionRequest(
        nonce="", kind="energy", env=env, runtime="onnxruntime", model=board.deploy(model), suffix=".onnx",
        data=board.deploy(data), repeat=10, window_s=1.5, idle_s=0.7, lead_s=0.2, deadline_s=60.0,
        meter=MeterRequest(EXTERNAL, rate_hz=50.0),
    )  # fmt: skip
    return board.measure(request)


def test_half_as_much_work_more_is_half_as_much_energy_more(board: OpenDevice, tmp_path: Path) -> None:
    """Two models in the order A B B A: the ratio above idle is that of their layers, within what a busy host adds."""
    np.savez(tmp_path / "data.npz", x=np.ones((2, WIDTH, WIDTH), np.float32), y=np.zeros(2, np.int64))
    models = {layers: make_chain(tmp_path / f"{layers}.onnx", layers) for layers in (PLAIN, MORE)}

    seen = [(layers, measure(board, models[layers], tmp_path / "data.npz")) for layers in (PLAIN, MORE, MORE, PLAIN)]

    assert [result.reply.error for _, result in seen] == [None] * 4
    energy = {layers: [above_idle_j(result) for which, result in seen if which == layers] for layers in models}
    ratio = math.sqrt(math.prod(energy[MORE]) / math.prod(energy[PLAIN]))
    assert ratio == pytest.approx(MORE / PLAIN, rel=0.25)
    settings = seen[0][1].reply.settings
    assert "SIMULATED METER" in settings["power_source"]
    assert settings["power_scope"] == "board"
    assert "power_fault" not in settings
