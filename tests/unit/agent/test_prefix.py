"""Model files cut after an operator: the parts are models, their operators are told, damage is a ValueError."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from harness.agent.prefix import Operator
from harness.agent.prefix.onnx import OnnxPrefix
from harness.agent.prefix.tflite import TflitePrefix

DIGITS = Path(__file__).parents[3] / "suites" / "digits"
TFLITE = (DIGITS / "digits_fp32.tflite").read_bytes()


def branching() -> bytes:
    """Make a model whose first value is read by two later nodes, one of which is unnamed."""
    weight = numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "dense"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"], "node_add_token_12"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()  # type: ignore[no-any-return]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_onnx_parts_are_valid_models_that_run(count: int) -> None:
    """Every part holds the first nodes, is checked by onnx and runs in onnxruntime."""
    part = OnnxPrefix(branching()).model(count)

    model = onnx.load_from_string(part)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Relu", "Add"][:count]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(part, options, providers=["CPUExecutionProvider"])
    (end,) = session.run(None, {"x": np.ones((2, 4), np.float32)})
    assert end == 0


def test_onnx_operators_have_names_types_and_shapes() -> None:
    """An unnamed node is called by its output, the counter of fused names is cut, unknown shapes are `?`."""
    assert OnnxPrefix(branching()).operators == [
        Operator("dense", "MatMul", "[batch,4] [4,3] -> ?"),
        Operator("b", "Relu", "? -> ?"),
        Operator("node_add", "Add", "? ? -> [batch,3]"),
    ]


def test_onnx_shapes_of_a_real_run_replace_those_of_the_file() -> None:
    """Inputs come by name, the rest from the outputs of the nodes before."""
    prefix = OnnxPrefix(branching())

    prefix.observe({"x": "[1,4]"}, {("dense", "MatMul"): iter([("[1,3]",)]), ("b", "Relu"): iter([("[1,3]",)])})

    assert [operator.shapes for operator in prefix.operators][:2] == ["[1,4] [4,3] -> [1,3]", "[1,3] -> [1,3]"]


def test_tflite_operators_have_tensor_names_and_shapes() -> None:
    """An operator is called by its first output; types are the interpreter's to tell."""
    operators = TflitePrefix(TFLITE).operators

    assert len(operators) == 10
    assert operators[1].shapes == "[1,8,8,1] [1,3,3,32] [32] -> [1,8,8,32]"
    assert "Conv2d_conv1" in operators[1].name


def test_tflite_parts_differ_in_operators_and_outputs_alone() -> None:
    """A part is read as a file with that many operators; what lies before its end is the whole file's."""
    prefix = TflitePrefix(TFLITE)

    parts = [TflitePrefix(prefix.model(count)) for count in (1, 4, 10)]

    assert [part.operators for part in parts] == [prefix.operators[:count] for count in (1, 4, 10)]
    assert sum(a != b for a, b in zip(prefix.model(4), TFLITE, strict=False)) <= 8


def test_tflite_parts_do_not_return_constants() -> None:
    """Weights of half precision that operators make floats are folded on load: XNNPACK fails to hand them out."""
    prefix = TflitePrefix((DIGITS.parent / "face" / "face_detection_short_range.tflite").read_bytes())
    folded = [count for count, each in enumerate(prefix.operators, 1) if "dequantize" in each.name]

    outputs = [TflitePrefix(prefix.model(count)).outputs for count in range(1, len(prefix.operators) + 1)]

    assert len(folded) == 74
    assert all(outputs[count - 1] == outputs[count - 2] for count in folded if count > 1)
    assert outputs[0] == {0}


def test_a_graph_without_operators_has_no_profile() -> None:
    """There is nothing to tell apart."""
    with pytest.raises(ValueError, match="0 nodes"):
        OnnxPrefix(OnnxPrefix(branching()).model(0))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(max_size=8))
def test_damaged_files_are_value_errors(cut: int, junk: bytes) -> None:
    """Cut off, overwritten or no model at all: never another exception."""
    for kind, whole in ((OnnxPrefix, branching()), (TflitePrefix, TFLITE)):
        damaged = whole[:cut] + junk + whole[cut + len(junk) : -1 - cut]
        try:
            prefix = kind(damaged)
            prefix.model(1)
        except ValueError:
            continue
        assert prefix.operators
