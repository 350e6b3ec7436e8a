"""ONNX files by the `onnx` package: its protobuf classes alone; weights outside of the file are not read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from harness.errors import GraphError
from harness.graph.text import name_text, quantization_text, shape_text, shapes_text
from harness.records.graph import MOST_OPERATORS, MOST_TENSORS, Graph, GraphOperator, GraphTensor

_PARAMETERS = {"QuantizeLinear": (1, 2), "DequantizeLinear": (1, 2), "QLinearConv": (6, 7), "QLinearMatMul": (6, 7)}
"""Where an operator takes its scale and zero point; of those that compute, that of their output."""
_MOST_SCALES = 65536
_DAMAGED = (DecodeError, ValueError, TypeError, KeyError, OSError, RuntimeError)
"""What protobuf and numpy_helper raise on bytes that are not what they seem."""


def read(path: Path) -> Graph:
    """Read one ONNX file.

    Raises:
        GraphError: it is damaged, or beyond bounds.
    """
    try:
        graph = onnx.load(path, load_external_data=False).graph
        return _describe(graph, path.name)
    except _DAMAGED as error:
        raise GraphError(f"{path.name} cannot be read as ONNX: {str(error)[:200]}") from error


def _describe(graph: Any, name: str) -> Graph:  # noqa: ANN401  protobuf makes its classes at run time
    if not 0 < len(graph.node) <= MOST_OPERATORS or len(graph.initializer) > MOST_TENSORS:
        raise GraphError(f"{name}: a graph of {len(graph.node)} operators is not compared (1 to {MOST_OPERATORS} are)")
    stored = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {tensor.name: shape_text(tensor.dims) for tensor in graph.initializer}
    shapes |= {value.name: _shape(value) for value in (*graph.input, *graph.output, *graph.value_info)}
    operators = tuple(_operator(node, shapes, stored) for node in graph.node)
    tensors = tuple(
        GraphTensor(name_text(tensor.name), _dtype(tensor), shapes[tensor.name][:400], _size(tensor))
        for tensor in graph.initializer
    )
    return Graph("ONNX", operators, tensors)


def _operator(node: Any, shapes: Mapping[str, str], stored: Mapping[str, Any]) -> GraphOperator:  # noqa: ANN401
    name = node.name or next(iter(node.output), "")
    text = shapes_text(_known(node.input, shapes), _known(node.output, shapes))
    return GraphOperator(name_text(name), name_text(node.op_type), text, _quantization(node, stored))


def _known(names: Iterable[str], shapes: Mapping[str, str]) -> list[str]:
    return [shapes.get(name, "?") for name in names if name]


def _quantization(node: Any, stored: Mapping[str, Any]) -> str:  # noqa: ANN401
    found = [
        _values(stored.get(node.input[place]) if place < len(node.input) else None)
        for place in _PARAMETERS.get(node.op_type, ())
    ]
    return quantization_text(*found) if found else ""


def _values(tensor: Any) -> list[Any]:  # noqa: ANN401
    if tensor is None or len(tensor.raw_data) > _MOST_SCALES:
        return []
    values: list[Any] = numpy_helper.to_array(tensor).ravel().tolist()
    return values


def _shape(value: Any) -> str:  # noqa: ANN401
    sizes = value.type.tensor_type.shape.dim
    return shape_text(size.dim_value if size.HasField("dim_value") else size.dim_param or "?" for size in sizes)


def _dtype(tensor: Any) -> str:  # noqa: ANN401
    name = str(onnx.TensorProto.DataType.Name(tensor.data_type)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _size(tensor: Any) -> int:  # noqa: ANN401
    """Return the bytes that its values take, wherever they lie."""
    if len(tensor.raw_data):
        return len(bytes(tensor.raw_data))
    item = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return item * math.prod(int(size) for size in tensor.dims)
