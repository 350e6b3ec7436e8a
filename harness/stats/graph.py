"""How two model files differ: operators, shapes, quantization parameters, and what is stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.records.graph import Graph, GraphOperator, GraphTensor
from harness.stats.matching import match
from harness.stats.operator import Status


@dataclass(frozen=True, slots=True)
class OperatorDifference:
    """One operator that was added, removed or changed between two files."""

    status: Status
    baseline: GraphOperator | None
    candidate: GraphOperator | None


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """One stored tensor that both files have by one name, and that is not the same kind of tensor."""

    baseline: GraphTensor
    candidate: GraphTensor


@dataclass(frozen=True, slots=True)
class Stored:
    """What both files store in values of one type, in bytes."""

    dtype: str
    baseline_bytes: int
    candidate_bytes: int


@dataclass(frozen=True, slots=True)
class GraphDifference:
    """Two files side by side; values of equal tensors are not compared."""

    operators: tuple[OperatorDifference, ...]
    """In the candidate's order, those that are gone last."""
    same: int
    """Operators that are alike in type, shapes and quantization."""
    tensors: tuple[TensorDifference, ...]
    stored: tuple[Stored, ...]
    """By type, the largest of the candidate first."""


def compare_graphs(before: Graph, after: Graph) -> GraphDifference:
    """Compare the baseline's file with the candidate's."""
    pairs, gone, new = match(before.operators, after.operators)
    changed = [pair for pair in pairs if _look(pair[0]) != _look(pair[1])]
    differences = [OperatorDifference(Status.CHANGED, *pair) for pair in changed]
    differences += [OperatorDifference(Status.NEW, None, operator) for operator in new]
    places = {id(operator): place for place, operator in enumerate(after.operators)}
    differences.sort(key=lambda item: places[id(item.candidate)])
    differences += [OperatorDifference(Status.GONE, operator, None) for operator in gone]
    return GraphDifference(
        tuple(differences), len(pairs) - len(changed), _tensors(before, after), _stored(before.tensors, after.tensors)
    )


def _look(operator: GraphOperator) -> tuple[str, str, str]:
    return operator.kind, operator.shapes, operator.quantization


def _tensors(before: Graph, after: Graph) -> tuple[TensorDifference, ...]:
    known = {tensor.name: tensor for tensor in before.tensors}
    pairs = ((known[tensor.name], tensor) for tensor in after.tensors if tensor.name in known)
    return tuple(TensorDifference(old, new) for old, new in pairs if old != new)


def _stored(before: Iterable[GraphTensor], after: Iterable[GraphTensor]) -> tuple[Stored, ...]:
    old, new = _sizes(before), _sizes(after)
    found = [Stored(dtype, old[dtype], new[dtype]) for dtype in sorted({*old, *new})]
    return tuple(sorted(found, key=lambda item: -item.candidate_bytes))


def _sizes(tensors: Iterable[GraphTensor]) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.size_bytes
    return sizes
