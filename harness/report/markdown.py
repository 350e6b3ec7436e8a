"""A short summary for a CI job page or a merge request: the decision, what blocks, and how much was measured.

Owns Markdown's own dangers: text from boards can neither make a link, an image or a mention, nor leave its table cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from harness.records.outcome import Release
from harness.report import wording
from harness.report.view import Blocker, ReportView, view

if TYPE_CHECKING:
    from harness.records.run import RunRecord
    from harness.records.verdict import Judgement

WORST: Final = 20
LARGEST: Final = 900_000
"""GitHub drops a step summary above 1 MiB as a whole."""

SYMBOLS: Final = {
    Release.GO: "✅",
    Release.NO_GO: "❌",
    Release.HOLD: "⏸️",
    Release.SECURITY: "⛔",
    Release.SELF_TEST: "🧪",
}
_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>~&@|$#]")


def render(run: RunRecord, judgement: Judgement, *, worst: int = WORST) -> str:
    """Write the summary.

    Args:
        run: what was planned and seen.
        judgement: what the gate concluded about this very run.
        worst: blockers shown; the number of the others is said.

    Returns:
        Markdown of less than 900 kB.

    Raises:
        RecordError: the judgement is of another run.
    """
    shown = view(run, judgement)
    counts = ", ".join(f"{number} {outcome.value.replace('_', ' ')}" for outcome, number in shown.counts)
    coverage = shown.coverage
    lines = [
        f"## {SYMBOLS[shown.release]} {shown.release.value}",
        "",
        f"**{escape(shown.sentence)}**",
        "",
        f"Gates: {counts}. Cells: {coverage.measured} of {coverage.planned} planned are fully measured. {shown.scope}",
        "",
        *_blockers(shown, worst),
        *_matrix(shown),
        *_work(shown),
        *_trades(shown),
        *([escape(wording.COUNT_LIMITS), ""] if shown.is_counted else []),
        f"Run {escape(run.run_id)}, {escape(run.started_at)}, farm {escape(run.plan.farm)}.",
    ]
    return _bounded(lines)


def escape(text: str) -> str:
    """Make text harmless inside a Markdown paragraph or table cell: nothing in it is markup any more."""
    safe = _SPECIAL.sub(lambda found: _ENTITIES.get(found.group(), "\\" + found.group()), wording.neutral(text))
    return safe.replace("://", "&#58;//").replace("www.", "www&#46;")


_ENTITIES: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "|": "&#124;", "#": "&#35;"}
"""What a backslash does not disarm everywhere: tags, mentions, table cells, references to issues."""


def _blockers(shown: ReportView, worst: int) -> list[str]:
    if not shown.blockers:
        return []
    rows = [_row(blocker) for blocker in shown.blockers[:worst]]
    more = len(shown.blockers) - len(rows)
    head = ["| outcome | cell | gate | figure | limit | margin | why |", "|---|---|---|---|---|---|---|"]
    return [*head, *rows, *(["", f"… and {wording.count(more, 'more reason')} in the report."] if more > 0 else []), ""]


def _row(blocker: Blocker) -> str:
    gate = blocker.gates[0]
    alone = len(blocker.gates) == 1
    name = f"{gate.name} {gate.label}".strip() if alone else f"{len(blocker.gates)} gates"
    figure = f"{gate.value} {gate.interval}".strip() if alone else ""
    limit = gate.limit if alone and gate.verdict.limit is not None else ""
    first, several = blocker.cells[0], len(blocker.cells) > 1
    where = f"{len(blocker.cells)} cells on {first.board}" if several else first.key
    why = "; ".join(part for part in (blocker.reason[:300], gate.calibration if alone else "") if part)
    cells = (where, name, figure, limit, gate.margin if alone else "", why)
    return f"| {blocker.outcome.value.replace('_', ' ')} | " + " | ".join(map(escape, cells)) + " |"


def _matrix(shown: ReportView) -> list[str]:
    if not shown.columns:
        return []
    head = "| board | tier | " + " | ".join(map(escape, shown.columns)) + " |"
    lines = [head, "|---" * (len(shown.columns) + 2) + "|"]
    for board in shown.boards:
        states = (", ".join(cell.worst.value.replace("_", " ") for cell in cells) for cells in board.row)
        lines.append(f"| {escape(board.name)} | {escape(board.tier_words)} | " + " | ".join(states) + " |")
    return [*lines, ""]


def _work(shown: ReportView) -> list[str]:
    """Name the operators where work has changed, within its limit or not."""
    changed = [(cell, gate) for cell in shown.cells for gate in cell.gates if gate.where]
    if not changed:
        return []
    rows = [f"| {escape(cell.key)} | {escape(gate.where)} |" for cell, gate in changed[:WORST]]
    more = len(changed) - len(rows)
    left = ["", f"… and {wording.count(more, 'more cell')} in the report."] if more else []
    return ["| cell | where its work changed |", "|---|---|", *rows, *left, ""]


def _trades(shown: ReportView) -> list[str]:
    """Say which variant is the best that passes, by board."""
    said = [f"- {escape(f'{trade.suite} on {trade.board}: {trade.sentence}')}" for trade in shown.trades[:WORST]]
    more = len(shown.trades) - len(said)
    left = [f"- … and {wording.count(more, 'more board')} in the report."] if more > 0 else []
    return [*said, *left, ""] if said else []


def _bounded(lines: list[str]) -> str:
    """Join lines as long as they fit, and say so when they do not."""
    kept: list[str] = []
    size = 200
    for line in lines:
        size += len(line.encode()) + 1
        if size > LARGEST:
            return "\n".join([*kept, "", "The rest does not fit here; it is in the report."]) + "\n"
        kept.append(line)
    return "\n".join(kept) + "\n"
