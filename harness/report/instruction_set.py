"""Instruction sets compared, for a terminal: a table per file that fits 100 columns, then what there is to say.

Everything that came from a board or a file name is neutral before it is placed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from harness.records.instruction_set import CpuRow, InstructionSets
from harness.report.wording import COUNT_LIMITS, figure, neutral
from harness.stats.instruction_set import TOLD
from harness.units import Dimension

NARROWEST: Final = 72
HEADINGS: Final = ("CPU", "instructions", "ratio", "load", "first", "peak memory", "outputs", "features")
_RIGHT: Final = frozenset({"instructions", "ratio", "load", "first", "peak memory", "costs", "against"})


def render(compared: Sequence[InstructionSets], *, width: int = 100) -> str:
    """Write every file's table and findings; one line says what a count cannot tell.

    Args:
        compared: one entry per file.
        width: columns of the terminal for sentences; less than 72 counts as 72.
    """
    width = max(width, NARROWEST)
    lines: list[str] = []
    for file in compared:
        lines += [*_heading(file, width), "", *_table(HEADINGS[:-1], cells_of(file)), *_features(file, width)]
        lines += [f"  {line}" for row in file.rows if row.failure for line in _failure(row, width - 2)]
        if file.against:
            lines += ["", *_against(file)]
        lines += ["", *_findings(file, width), ""]
    return "\n".join([*lines, *textwrap.wrap(COUNT_LIMITS, width)]) + "\n"


def section(compared: Sequence[InstructionSets], *, width: int = 100) -> list[str]:
    """Write what a gated run shows on a terminal: the artifacts with something to say, the others by their number."""
    if not compared:
        return []
    lines = ["Instruction sets (this informs, gates decide):"]
    told = [file for file in compared if file.findings]
    for file in told:
        table = _table(HEADINGS[:-1], cells_of(file))
        lines += [
            f"  {line}" for line in (neutral(f"{file.name}, {file.runtime}"), *table, *_findings(file, width - 2))
        ]
    if rest := len(compared) - len(told):
        lines.append(f"  {rest} of {len(compared)} artifacts: the same answers and the same code on every CPU.")
    return [*lines, ""]


def cells_of(file: InstructionSets) -> list[tuple[str, ...]]:
    """Give the rows of a file's table, one text per heading; empty where nothing was measured."""
    return [_cells(row, file.rows) for row in file.rows]


def _heading(file: InstructionSets, width: int) -> list[str]:
    said = f"{file.name} (sha256 {file.sha256[:12]}), {file.runtime}, {file.inputs}"
    return textwrap.wrap(neutral(said), width)


def _cells(row: CpuRow, rows: Sequence[CpuRow]) -> tuple[str, ...]:
    first = next((item for item in rows if item.outputs_sha256), rows[0])
    return (
        neutral(row.cpu) + ("" if row.exists else " *"),
        _count(row),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        _short(row.load_instructions),
        _short(row.first_instructions),
        "" if row.peak_bytes is None else figure(row.peak_bytes, Dimension.BYTES),
        _outputs(row, first),
        _told(row) if row.features or not row.failure else "",
    )


def _count(row: CpuRow) -> str:
    return "" if row.instructions is None else f"{row.instructions:,.0f}"


def _short(instructions: float | None) -> str:
    return "" if instructions is None else figure(instructions, Dimension.COUNT)


def _outputs(row: CpuRow, first: CpuRow) -> str:
    if row.failure or not row.outputs_sha256:
        return "-"
    if row is first or row.outputs_sha256 == first.outputs_sha256:
        return row.outputs_sha256[:8]
    return row.outputs_sha256[:8] + (f" ±{row.max_abs:.1e}" if row.max_abs is not None else " !")


def _failure(row: CpuRow, width: int) -> list[str]:
    return textwrap.wrap(neutral(f"{row.cpu}: {' '.join(row.failure.split())}"), width)


def _features(file: InstructionSets, width: int) -> list[str]:
    """Say once for CPUs with the same features which of those that matter they have."""
    together: dict[str, list[str]] = {}
    for row in file.rows:
        if row.features or not row.failure:
            together.setdefault(_told(row), []).append(neutral(row.cpu))
    said = "; ".join(f"{', '.join(cpus)}: {told}" for told, cpus in together.items())
    return textwrap.wrap(f"Features ({', '.join(TOLD)}): {said}.", width, subsequent_indent="  ") if said else []


def _told(row: CpuRow) -> str:
    return neutral(" ".join(name for name in TOLD if name in row.features)) or "none"


def _against(file: InstructionSets) -> list[str]:
    headings = ("CPU", "costs", "against", "ratio")
    rows = [
        (neutral(row.cpu), f"{row.instructions:,.0f}", f"{row.against:,.0f}", f"{row.instructions / row.against:.3f}")
        for row in file.rows
        if row.instructions and row.against
    ]
    return [f"Against {neutral(file.against)}:", *_table(headings, rows)]


def _findings(file: InstructionSets, width: int) -> list[str]:
    if not file.findings:
        return textwrap.wrap("Findings: none. It ran everywhere, with the same answers and the same code.", width)
    lines = ["Findings:"]
    for finding in file.findings:
        text = neutral(" ".join(finding.text.split()))
        lines += textwrap.wrap(text, width, initial_indent="- ", subsequent_indent="  ")
    return lines


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lay out columns as wide as what stands in them; those that are empty in every row are left out."""
    kept = [k for k in range(len(headings)) if any(row[k] for row in rows)]
    widths = {k: max(len(headings[k]), *(len(row[k]) for row in rows)) for k in kept}

    def line(cells: tuple[str, ...]) -> str:
        placed = (cells[k].rjust(widths[k]) if headings[k] in _RIGHT else cells[k].ljust(widths[k]) for k in kept)
        return "  ".join(placed).rstrip()

    return [line(headings), *map(line, rows)]
