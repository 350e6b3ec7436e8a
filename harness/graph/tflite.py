"""TFLite files by the `tflite` package: accessors generated from TensorFlow Lite's schema, nothing more."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import tflite
from flatbuffers.number_types import Int32Flags

from harness.errors import GraphError
from harness.graph.text import name_text, quantization_text, shape_text, shapes_text
from harness.records.graph import MOST_OPERATORS, MOST_TENSORS, Graph, GraphOperator, GraphTensor

_DAMAGED = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError, MemoryError, OSError)
"""What flatbuffers raises on bytes that are not what they seem."""
_TYPES = {value: name.lower() for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}
_BUILTIN_CODE = 10
"""Place of OperatorCode.builtin_code in its table, by schema.fbs."""
_MAGIC = b"TFL3"


def read(path: Path) -> Graph:
    """Read the main graph of one TFLite file.

    Raises:
        GraphError: it is damaged, or beyond bounds.
    """
    try:
        content = path.read_bytes()
        if content[4:8] != _MAGIC:
            raise ValueError("it does not begin as one")
        return _describe(tflite.Model.GetRootAsModel(content, 0), path.name)
    except _DAMAGED as error:
        raise GraphError(f"{path.name} cannot be read as TFLite: {str(error)[:200]}") from error


def _describe(model: Any, name: str) -> Graph:  # noqa: ANN401  the package has no types
    graph = model.Subgraphs(0)
    if not 0 < graph.OperatorsLength() <= MOST_OPERATORS or graph.TensorsLength() > MOST_TENSORS:
        raise GraphError(f"{name}: a graph of {graph.OperatorsLength()} operators is not compared")
    operators = tuple(_operator(model, graph, graph.Operators(k)) for k in range(graph.OperatorsLength()))
    stored = ((graph.Tensors(k), _size(model, graph.Tensors(k))) for k in range(graph.TensorsLength()))
    tensors = tuple(
        GraphTensor(_name(tensor), _TYPES.get(tensor.Type(), "?"), _shape(tensor), size)
        for tensor, size in stored
        if size
    )
    return Graph("TFLite", operators, tensors)


def _operator(model: Any, graph: Any, operator: Any) -> GraphOperator:  # noqa: ANN401
    inputs = [graph.Tensors(operator.Inputs(k)) for k in range(operator.InputsLength()) if operator.Inputs(k) >= 0]
    outputs = [graph.Tensors(operator.Outputs(k)) for k in range(operator.OutputsLength())]
    shapes = shapes_text(map(_shape, inputs), map(_shape, outputs))
    name = _name(outputs[0]) if outputs else ""
    kind = _kind(model.OperatorCodes(operator.OpcodeIndex()))
    return GraphOperator(name, kind, shapes, _quantization(outputs[0]) if outputs else "")


def _kind(code: Any) -> str:  # noqa: ANN401
    custom = code.CustomCode()
    if custom:
        return name_text(custom.decode("utf-8", "replace"))
    number = max(_builtin_code(code), code.DeprecatedBuiltinCode())
    try:
        return str(tflite.opcode2name(number))
    except (KeyError, ValueError):  # newer than the package
        return f"BUILTIN {number}"


def _builtin_code(code: Any) -> int:  # noqa: ANN401
    """Read the field itself: the package (2.18) takes the deprecated one for it, which newer exporters leave at ADD."""
    place = code._tab.Offset(_BUILTIN_CODE)
    return int(code._tab.Get(Int32Flags, place + code._tab.Pos)) if place else 0


def _name(tensor: Any) -> str:  # noqa: ANN401
    return name_text((tensor.Name() or b"").decode("utf-8", "replace"))


def _shape(tensor: Any) -> str:  # noqa: ANN401
    signature = [tensor.ShapeSignature(k) for k in range(tensor.ShapeSignatureLength())]
    sizes = signature or [tensor.Shape(k) for k in range(tensor.ShapeLength())]
    return shape_text("?" if size < 0 else size for size in sizes)


def _quantization(tensor: Any) -> str:  # noqa: ANN401
    found = tensor.Quantization()
    if found is None:
        return ""
    scales = [found.Scale(k) for k in range(found.ScaleLength())]
    return quantization_text(scales, [found.ZeroPoint(k) for k in range(found.ZeroPointLength())])


def _size(model: Any, tensor: Any) -> int:  # noqa: ANN401
    buffer = model.Buffers(tensor.Buffer())
    return int(buffer.DataLength() or buffer.Size() or 0)
