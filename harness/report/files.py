"""What two model files differ in, as a reader sees it: operators, shapes, quantization parameters, sizes.

Owns the arrangement only; the comparison is `harness.stats.graph`'s. A runtime fuses and lays out what the file says,
so this stands beside the operators that ran and is not matched with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.gate.where import compare_files
from harness.records.graph import GraphOperator, GraphTensor
from harness.report import wording
from harness.report.wording import neutral
from harness.stats.evidence import AnyArray, Evidence
from harness.stats.graph import GraphDifference, OperatorDifference
from harness.units import Dimension

if TYPE_CHECKING:
    from harness.report.cell import CellView
    from harness.spec.model import Device

SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class FileRow:
    """One operator or stored tensor that differs: `what` says in what."""

    status: str
    kind: str
    name: str
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilesView:
    """Two files side by side."""

    summary: str
    rows: tuple[FileRow, ...]
    more: int
    """Rows that are not shown."""


def view_files(cell: CellView, device: Device, arrays: Mapping[str, AnyArray]) -> FilesView | None:
    """Compare the files of a cell; None where the run did not keep what they hold."""
    if cell.record is None or not cell.record.documents:
        return None
    found = compare_files(Evidence(cell.planned, device, cell.record, arrays))
    if found is None:
        return None
    rows = [_operator_row(item) for item in found.operators]
    rows += [
        FileRow("changed", "stored", _name(item.candidate.name), _pair(_tensor(item.baseline), _tensor(item.candidate)))
        for item in found.tensors
    ]
    return FilesView(_summary(found), tuple(rows[:SHOWN]), max(len(rows) - SHOWN, 0))


def _summary(found: GraphDifference) -> str:
    """Write `2 operators new, 1 changed, 33 the same; stored: int8 90 KiB (was 0 B), float32 2 KiB (was 363 KiB)`."""
    counts = {word: sum(item.status.value == word for item in found.operators) for word in ("new", "gone", "changed")}
    parts = [f"{wording.count(number, 'operator')} {word}" for word, number in counts.items() if number]
    stored = [
        f"{item.dtype} {_bytes(item.candidate_bytes)}"
        + (f" (was {_bytes(item.baseline_bytes)})" if item.baseline_bytes != item.candidate_bytes else "")
        for item in found.stored
    ]
    return neutral(f"{', '.join([*parts, f'{found.same} the same'])}; stored: {', '.join(stored) or 'nothing'}")


def _operator_row(item: OperatorDifference) -> FileRow:
    shown = item.candidate or item.baseline
    assert shown is not None, "a difference has at least one side"
    what = _told(shown) if item.baseline is None or item.candidate is None else _changes(item.baseline, item.candidate)
    return FileRow(item.status.value, neutral(shown.kind), _name(shown.name), what)


def _told(operator: GraphOperator) -> tuple[str, ...]:
    return tuple(neutral(text) for text in (operator.shapes, operator.quantization) if text)


def _changes(before: GraphOperator, after: GraphOperator) -> tuple[str, ...]:
    pairs = ((before.kind, after.kind), (before.shapes, after.shapes), (before.quantization, after.quantization))
    return tuple(text for old, new in pairs if old != new for text in _pair(old, new))


def _pair(old: str, new: str) -> tuple[str, ...]:
    return (neutral(f"{old or 'none'}, now {new or 'none'}"),)


def _tensor(tensor: GraphTensor) -> str:
    return f"{tensor.dtype} {tensor.shape}, {_bytes(tensor.size_bytes)}"


def _name(name: str) -> str:
    return neutral(name, longest=120)


def _bytes(size: int) -> str:
    return wording.figure(size, Dimension.BYTES)
