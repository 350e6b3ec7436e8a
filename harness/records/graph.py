"""What a model file says of itself: operators with shapes and quantization, and what it stores. No runtime's view."""

from __future__ import annotations

from dataclasses import dataclass

MOST_OPERATORS = 4096
MOST_TENSORS = 16384


@dataclass(frozen=True, slots=True)
class GraphOperator:
    """One operator of a file, in its order; texts are those of `harness.records.profile`."""

    name: str
    kind: str
    shapes: str
    quantization: str
    """Of its output (TFLite) or of its own parameters (ONNX): `scale 0.0321, zero 128`; empty: none."""


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One tensor whose values the file stores."""

    name: str
    dtype: str
    shape: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Graph:
    """One model file."""

    format: str
    """`ONNX` or `TFLite`."""
    operators: tuple[GraphOperator, ...]
    tensors: tuple[GraphTensor, ...]
