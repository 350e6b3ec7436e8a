"""The table of verdicts and the decision for a terminal or a CI log.

Owns the layout in characters. Colour is the caller's choice; everything that came from a board is neutral before it is
placed, so that no control character of a board reaches the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from harness.records.outcome import Outcome, Release
from harness.report import instruction_set, wording
from harness.report.cell import CellView, GateView
from harness.report.selftest import selftest_lines
from harness.report.trail import strip_of
from harness.report.view import ReportView, view

if TYPE_CHECKING:
    from harness.records.instruction_set import InstructionSets
    from harness.records.run import RunRecord
    from harness.records.verdict import Judgement

    Painter = Callable[[str, str], str]

NARROWEST: Final = 72
TABLE: Final = 100
"""Rows of the table are never squeezed below this; sentences wrap at the width asked for."""
INDENT: Final = 2
_HEADINGS: Final = ("outcome", "gate", "figure [interval]", "limit", "margin", "line")

_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLOURS: Final = {
    Outcome.PASS: "\x1b[36m",
    Outcome.FAIL: "\x1b[31m",
    Outcome.REGRESSION: "\x1b[31m",
    Outcome.SECURITY: "\x1b[1;31m",
    Outcome.INCONCLUSIVE: "\x1b[33m",
    Outcome.QUARANTINED: "\x1b[33m",
    Outcome.INFRA: "\x1b[35m",
    Outcome.DEVICE: "\x1b[35m",
}
_RELEASE_COLOURS: Final = {Release.GO: "\x1b[1;36m", Release.HOLD: "\x1b[1;33m"}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths in characters; `origin` takes what is left."""

    outcome: int
    gate: int
    figure: int
    limit: int
    margin: int
    origin: int


def render(
    run: RunRecord,
    judgement: Judgement,
    compared: Sequence[InstructionSets] = (),
    *,
    width: int = 100,
    color: bool = False,
) -> str:
    """Write every verdict with value, interval, limit, margin and origin, and then the decision in one sentence.

    Cells are in order of urgency, so that what blocks stands first; gates that lost their evidence for one reason
    share a line.

    Args:
        run: what was planned and seen.
        judgement: what the gate concluded about this very run.
        compared: artifacts over instruction sets, from `harness.gate.instruction_set`.
        width: columns of the terminal; less than 72 counts as 72.
        color: use ANSI colours.

    Raises:
        RecordError: the judgement is of another run.
    """
    shown = view(run, judgement)
    paint = _paint if color else _plain
    if shown.selftest is not None:
        return (
            "\n".join([*selftest_lines(shown.selftest, max(width, NARROWEST)), *_decided(shown, width, paint)]) + "\n"
        )
    columns = _columns(shown, max(width, TABLE))
    rank = wording.WORST_FIRST.index
    lines = [_heading(columns, paint=paint)] if columns.figure else []
    for cell in sorted(shown.cells, key=lambda cell: rank(cell.worst)):
        lines += _cell_lines(cell, columns, max(width, NARROWEST), paint=paint)
    lines += ["", *instruction_set.section(compared, width=max(width, NARROWEST))] if compared else [""]
    return "\n".join([*lines, *_ending(shown, max(width, NARROWEST), paint=paint)]) + "\n"


def _heading(columns: _Columns, *, paint: Painter) -> str:
    widths = (columns.outcome, columns.gate, columns.figure, columns.limit, columns.margin, columns.origin)
    words = (text.ljust(width)[:width] for text, width in zip(_HEADINGS, widths, strict=True))
    return paint(" " * INDENT + " ".join(words).rstrip(), _DIM)


def _plain(text: str, code: str) -> str:
    del code
    return text


def _paint(text: str, code: str) -> str:
    return f"{code}{text}{_RESET}" if code else text


def _columns(shown: ReportView, width: int) -> _Columns:
    gates = [gate for cell in shown.cells for gate in cell.gates if _stands_alone(gate)]

    def widest(texts: Iterable[str], heading: str, most: int) -> int:
        longest = max((len(text) for text in texts), default=0)
        return min(most, max(longest, len(heading))) if longest else 0

    outcome = widest((word(gate.outcome) for gate in gates), _HEADINGS[0], 13)
    gate = widest((_name(gate) for gate in gates), _HEADINGS[1], 34)
    figure = widest((_figure(gate) for gate in gates), _HEADINGS[2], 36)
    limit = widest((_limit(gate) for gate in gates), _HEADINGS[3], 14)
    margin = widest((_margin(gate) for gate in gates), _HEADINGS[4], 24)
    left = max(width - INDENT - outcome - gate - figure - limit - margin - 5, 4)
    return _Columns(outcome, gate, figure, limit, margin, left)


def word(outcome: Outcome) -> str:
    """Give the outcome as it stands in a table."""
    return outcome.value.replace("_", " ")


def _stands_alone(gate: GateView) -> bool:
    return gate.verdict.estimate is not None or gate.outcome is Outcome.PASS


def _name(gate: GateView) -> str:
    return f"{gate.name} {gate.label}".rstrip()


def _figure(gate: GateView) -> str:
    verdict = gate.verdict
    return f"{gate.value} {wording.interval_of(verdict.estimate, verdict.metric, verdict.kind, bare=True)}".strip()


def _limit(gate: GateView) -> str:
    return wording.limit_of(gate.verdict, brief=True) if gate.verdict.limit is not None else ""


def _margin(gate: GateView) -> str:
    return gate.margin.replace("up to ", "≤ ")


def _cell_lines(cell: CellView, columns: _Columns, width: int, *, paint: Painter) -> list[str]:
    file = wording.neutral(cell.planned.suite_file)
    lines = [f"{paint(cell.key, _BOLD)}  {paint(f'{cell.planned.profile}, {cell.planned.tier.value}; {file}', _DIM)}"]
    for alone, group in groupby(cell.gates, key=_stands_alone):
        if alone:
            for gate in group:
                lines += _gate_lines(gate, file, columns, width, paint=paint)
        else:
            lines += _lost_lines(list(group), width, paint=paint)
    if not cell.gates:
        lines.append(" " * INDENT + paint("NOT RUN", "") + " there is no verdict for this cell")
    return lines


def _gate_lines(gate: GateView, file: str, columns: _Columns, width: int, *, paint: Painter) -> list[str]:
    origin = gate.origin.removeprefix(file)
    if len(origin) > columns.origin:
        origin = "…" + origin[len(origin) - columns.origin + 1 :]
    row = " ".join(
        (
            paint(word(gate.outcome).ljust(columns.outcome), _COLOURS.get(gate.outcome, "")),
            _name(gate).ljust(columns.gate),
            _figure(gate).ljust(columns.figure),
            _limit(gate).ljust(columns.limit),
            _margin(gate).ljust(columns.margin),
            paint(origin, _DIM if origin else ""),
        )
    ).rstrip()
    lines = [" " * INDENT + row]
    strip = strip_of(gate.verdict)
    if strip:
        lines.append(" " * (INDENT + columns.outcome + 1) + paint(strip, _DIM))
        told = "; ".join(part for part in (gate.trail, gate.calibration) if part)
        lines += _wrapped(told, width, INDENT + columns.outcome + 1)
    elif gate.outcome is Outcome.PASS and gate.flips and gate.interval != "exact":
        lines += _wrapped(gate.flips, width, INDENT + columns.outcome + 1)
    if gate.outcome is not Outcome.PASS:
        evidence = () if strip else (gate.evidence, gate.flips)
        why = "; ".join(part for part in (gate.reason, *evidence, gate.origin) if part)
        lines += _wrapped(why, width, INDENT + columns.outcome + 1)
    if gate.where:
        lines += _wrapped(f"where: {gate.where}", width, INDENT + columns.outcome + 1)
    return lines


def _lost_lines(gates: Sequence[GateView], width: int, *, paint: Painter) -> list[str]:
    lines = []
    together: dict[tuple[Outcome, str], list[GateView]] = {}
    for gate in gates:
        together.setdefault((gate.outcome, wording.cause_of(gate.verdict)), []).append(gate)
    for (outcome, reason), same in together.items():
        names = [gate.name for gate in same]
        said = f"{names[0]}: {reason}" if len(names) == 1 else reason
        lines += _hanging(paint(word(outcome), _COLOURS.get(outcome, "")), len(word(outcome)), said, width)
        if len(names) > 1 and outcome is not Outcome.SKIPPED:
            lines += _wrapped(f"{len(names)} gates: {', '.join(names)}", width, INDENT + len(word(outcome)) + 1)
    return lines


def _hanging(painted: str, length: int, text: str, width: int) -> list[str]:
    first, *rest = textwrap.wrap(text, width - INDENT - length - 1) or [""]
    return [f"{' ' * INDENT}{painted} {first}".rstrip(), *(" " * (INDENT + length + 1) + line for line in rest)]


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return [" " * indent + line for line in textwrap.wrap(text, max(width - indent, 30))]


def _ending(shown: ReportView, width: int, *, paint: Painter) -> list[str]:
    counts = [
        (f"{number} {word(outcome)}{',' if index < len(shown.counts) else ''}", _COLOURS.get(outcome, ""))
        for index, (outcome, number) in enumerate(shown.counts, 1)
    ]
    coverage = shown.coverage
    best = (f"{trade.suite} on {trade.board}: {trade.sentence}" for trade in shown.trades)
    lines = [
        *(line for said in best for line in textwrap.wrap(said, width, subsequent_indent="  ")),
        *_flowing("Gates:", counts, width, paint=paint),
        f"Cells: {coverage.measured} of {coverage.planned} planned are fully measured.",
    ]
    if shown.is_counted:
        lines += textwrap.wrap(wording.COUNT_LIMITS, width)
    lines += textwrap.wrap(shown.scope, width)
    if shown.unproven:
        names = ", ".join(shown.unproven)
        said = f"Unproven (no self-test of this code saw them catch a planted fault): {names}."
        lines += textwrap.wrap(said, width)
    return [*lines, *_decided(shown, width, paint)]


def _decided(shown: ReportView, width: int, paint: Painter) -> list[str]:
    colour = _RELEASE_COLOURS.get(shown.release, "\x1b[1;31m")
    if shown.release is Release.SELF_TEST and shown.exit_code == 0:
        colour = _RELEASE_COLOURS[Release.GO]
    sentence = textwrap.wrap(f"{shown.release.value}: {shown.sentence}", max(width, NARROWEST))
    return [paint(line, colour) for line in sentence]


def _flowing(head: str, words: Iterable[tuple[str, str]], width: int, *, paint: Painter) -> list[str]:
    """Set words, each with its colour, in lines of at most `width` characters; colour codes take no room."""
    lines, length = [head], len(head)
    for text, colour in words:
        if length + 1 + len(text) > width:
            lines.append(" " * len(head))
            length = len(head)
        lines[-1] += " " + paint(text, colour)
        length += 1 + len(text)
    return lines
