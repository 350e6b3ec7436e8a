"""Where a change of work went, as a reader sees it: operators with their counts, and bars of their shares.

Owns the arrangement and the drawing; what explains the change is computed by `harness.gate.where`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from harness.gate.where import attribute_work, describe
from harness.report import svg, wording
from harness.report.wording import neutral
from harness.stats.evidence import AnyArray, Evidence
from harness.stats.operator import Attribution, Change
from harness.units import Dimension

if TYPE_CHECKING:
    from harness.report.cell import CellView
    from harness.spec.model import Device

SHOWN: Final = 40
"""Operators in the table, the largest changes first; the others are counted in one row."""


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator, or what is left: figures in words, and a bar of its share of the baseline."""

    status: str
    name: str
    kind: str
    shapes: str
    baseline: str
    candidate: str
    change: str
    share: str
    bar: Markup


@dataclass(frozen=True, slots=True)
class WorkView:
    """The change of one cell's work."""

    summary: str
    rows: tuple[OperatorRow, ...]
    method: str
    notes: tuple[str, ...]


def view_work(cell: CellView, device: Device, arrays: Mapping[str, AnyArray]) -> WorkView | None:
    """Explain the change of a cell's work; None where the run has no profiles of both sides.

    Args:
        cell: measured, with its record.
        device: its board.
        arrays: of the cell by key, profiles among them.
    """
    if cell.record is None or not any(session.kind == "profile" for session in cell.sessions):
        return None
    found = attribute_work(Evidence(cell.planned, device, cell.record, arrays))
    if found is None:
        return None
    total = found.candidate - found.baseline
    longest = max(abs(total), abs(found.rest), *(abs(change.delta) for change in found.changes), 1.0)
    rows = [_row(found, change, longest) for change in found.changes[:SHOWN]]
    others = found.changes[SHOWN:]
    if others:
        delta = sum(change.delta for change in others)
        rows.append(_sum_row(found, f"{wording.count(len(others), 'more operator')}", delta, longest))
    same = f"the rest: {wording.count(found.same, 'operator')} that did not change, and the call around them"
    rows.append(_sum_row(found, same, found.rest, longest))
    rows.append(_sum_row(found, "the whole inference", total, longest))
    return WorkView(
        neutral(describe(found)), tuple(rows), neutral(found.method), tuple(neutral(note) for note in found.notes)
    )


def _row(found: Attribution, change: Change, longest: float) -> OperatorRow:
    before, after, shown = change.baseline, change.candidate, change.shown
    kind, shapes = shown.kind, shown.shapes
    if before is not None and before.kind != shown.kind:
        kind = f"{before.kind} → {shown.kind}"
    if before is not None and before.shapes != shown.shapes:
        shapes = f"{before.shapes}, now {shown.shapes}"
    return OperatorRow(
        status=change.status.value,
        name=neutral(shown.name, longest=120),
        kind=neutral(kind),
        shapes=neutral(shapes),
        baseline=_count(before.instructions) if before else "",
        candidate=_count(after.instructions) if after else "",
        change=_count(change.delta, signed=True),
        share=_share(found, change.delta),
        bar=_bar(found, change.delta, longest, change.status.value),
    )


def _sum_row(found: Attribution, words: str, delta: float, longest: float) -> OperatorRow:
    change = _count(delta, signed=True)
    return OperatorRow("", words, "", "", "", "", change, _share(found, delta), _bar(found, delta, longest, words))


def _bar(found: Attribution, delta: float, longest: float, words: str) -> Markup:
    """Draw a share as a bar from the middle: more work to the right."""
    x = svg.Scale(-longest, longest, 2, 118)
    left, right = sorted((x(0), x(delta)))
    side = "more" if delta > 0 else "less"
    return svg.picture(
        f"{words}: {_share(found, delta)}", 120, 16,
        svg.line("axis", 60, 1, 60, 15),
        svg.element("rect", class_=side, x=left, y=4, width=max(right - left, 0.5), height=8),
        class_="chart bar",
    )  # fmt: skip


def _count(instructions: float, *, signed: bool = False) -> str:
    return wording.figure(instructions, Dimension.COUNT, signed=signed)


def _share(found: Attribution, instructions: float) -> str:
    return wording.figure(found.share(instructions), Dimension.RATIO, signed=True)
