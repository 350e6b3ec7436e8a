"""Model files on the controller: what they hold, how two differ, and that damage is a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import GraphError
from harness.graph import read_graph
from harness.graph.text import quantization_text
from harness.records.canonical import from_json, to_json
from harness.records.graph import Graph, GraphOperator, GraphTensor
from harness.stats.graph import Stored, compare_graphs
from harness.stats.operator import Status

SUITES = Path(__file__).parents[3] / "suites"
DIGITS = SUITES / "digits"


def test_onnx_operators_have_shapes_and_quantization() -> None:
    """Parameters of quantized operators are those that the file stores, channels as a range."""
    graph = read_graph(DIGITS / "digits_int8_qdq.onnx")

    found = {operator.name: operator for operator in graph.operators}
    assert (graph.format, len(graph.operators)) == ("ONNX", 36)
    assert found["image_QuantizeLinear"].quantization == "scale 0.00392157, zero -128"
    assert found["conv1.weight_DequantizeLinear"].quantization.endswith("(32 channels), zero 0")
    assert found["conv1.weight_DequantizeLinear"].shapes.startswith("[32,1,3,3] [32] [32]")
    stored = {tensor.name: tensor for tensor in graph.tensors}
    assert stored["conv1.weight_quantized"] == GraphTensor("conv1.weight_quantized", "int8", "[32,1,3,3]", 288)


def test_tflite_operators_have_types_shapes_and_quantization() -> None:
    """Types are read from the field that newer exporters fill alone; only stored tensors count as stored."""
    graph = read_graph(DIGITS / "digits_int8.tflite")

    assert [operator.kind for operator in graph.operators][:4] == [
        "QUANTIZE",
        "RESHAPE",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
    ]
    assert graph.operators[0].quantization == "scale 0.00392157, zero -128"
    assert graph.operators[2].shapes == "[1,8,8,1] [1,3,3,32] [32] -> [1,8,8,32]"
    assert sum(tensor.size_bytes for tensor in graph.tensors if tensor.dtype == "int8") == 89_632


def test_a_planted_operator_is_the_difference_of_the_files() -> None:
    """Test-time augmentation left in: three operators are new, and stored bytes tell which constants came."""
    found = compare_graphs(
        read_graph(DIGITS / "digits_int8_qdq.onnx"), read_graph(SUITES / "nogo" / "slower_int8.onnx")
    )

    new = [item.candidate.kind for item in found.operators if item.status is Status.NEW and item.candidate]
    assert new == ["Concat", "Shape", "Slice"]
    assert Stored("int64", 16, 32) in found.stored


def test_a_changed_scale_is_a_changed_operator() -> None:
    """The same type and shape with other parameters computes otherwise."""
    before = Graph("ONNX", (GraphOperator("q", "QuantizeLinear", "[1] -> [1]", "scale 0.1, zero 0"),), ())
    after = Graph("ONNX", (GraphOperator("q", "QuantizeLinear", "[1] -> [1]", "scale 0.2, zero 0"),), ())

    (difference,) = compare_graphs(before, after).operators

    assert difference.status is Status.CHANGED
    assert compare_graphs(before, before).same == 1


def test_a_graph_survives_the_way() -> None:
    """A record of a file is read back as it was."""
    graph = read_graph(DIGITS / "digits_fp32.tflite")

    assert from_json(Graph, to_json(graph)) == graph


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("kept", [0, 3, 40, 2000, 60_000])
def test_damaged_files_are_a_sentence(tmp_path: Path, suffix: str, kept: int) -> None:
    """A file that was cut off names itself and the format, whatever the reader raised."""
    path = tmp_path / f"cut{suffix}"
    path.write_bytes((DIGITS / f"digits_fp32{suffix}").read_bytes()[:kept])

    with pytest.raises(GraphError, match=r"^cut\.(onnx|tflite)"):
        read_graph(path)


def test_other_files_and_missing_ones_are_a_sentence(tmp_path: Path) -> None:
    """What no reader takes is named with what they take."""
    (tmp_path / "m.pte").write_bytes(b"x")

    with pytest.raises(GraphError, match=r"m\.pte: no reader .* \.onnx, \.tflite"):
        read_graph(tmp_path / "m.pte")
    with pytest.raises(GraphError, match="No such file"):
        read_graph(tmp_path / "none.onnx")


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, not a module that could not be imported."""
    monkeypatch.setitem(sys.modules, "harness.graph.tflite", None)
    path = tmp_path / "m.tflite"
    path.write_bytes((DIGITS / "digits_fp32.tflite").read_bytes())

    with pytest.raises(GraphError, match=r"pip install 'fleetgate\[graph\]'"):
        read_graph(path)


def test_parameters_in_words() -> None:
    """One, several, none."""
    assert quantization_text([0.5], [3]) == "scale 0.5, zero 3"
    assert quantization_text([0.5, 0.25], [0, 0]) == "scale 0.25 to 0.5 (2 channels), zero 0"
    assert quantization_text([], []) == ""
