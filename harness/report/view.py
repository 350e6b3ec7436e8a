"""The view model: one run and its judgement, arranged once for every report.

Owns the arrangement (what blocks, what is missing, the matrix, the boards) and refuses a judgement of another run.
Decides nothing: order and membership of the blockers are those of `harness.gate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.records.outcome import Outcome, Release
from harness.records.run import RunRecord
from harness.records.verdict import Judgement, Verdict
from harness.report import wording
from harness.report.answers import Judged
from harness.report.board import Board, run_facts, view_board
from harness.report.cell import CellView, GateView, urgency, view_cell
from harness.report.provenance import Fact
from harness.report.selftest import SelfTestView, unproven_gates, view_selftest
from harness.report.trade import TradeOff, trade_offs
from harness.report.wording import neutral
from harness.spec.model import Device, Tier


@dataclass(frozen=True, slots=True)
class Blocker:
    """What keeps the release from GO for one reason: one gate, or all gates of one board that one cause took away."""

    outcome: Outcome
    cells: tuple[CellView, ...]
    gates: tuple[GateView, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A cell that was planned and is not (fully) measured, or that the plan skips, and why."""

    cell: CellView
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the plan has evidence; cells that the plan skips are not part of `planned`."""

    planned: int
    measured: int
    missing: tuple[Missing, ...]
    skipped: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything that a report shows, ready to be laid out."""

    release: Release
    exit_code: int
    sentence: str
    """The decision's sentence, without the word of the decision before it."""
    scope: str
    """What kind of boards the decision stands on, in words."""
    counts: tuple[tuple[Outcome, int], ...]
    blockers: tuple[Blocker, ...]
    coverage: Coverage
    columns: tuple[str, ...]
    boards: tuple[Board, ...]
    cells: tuple[CellView, ...]
    trades: tuple[TradeOff, ...]
    """Variants of one model against each other, where there are several; none in a self-test."""
    run: tuple[Fact, ...]
    title: str
    selftest: SelfTestView | None
    """Set when the gate itself was tried, and no release."""
    unproven: tuple[str, ...]
    """Gates that no self-test has seen catch a planted fault."""

    @property
    def is_counted(self) -> bool:
        """Tell whether any cell shows a count of instructions."""
        return any(cell.is_counted for cell in self.cells)


def view(run: RunRecord, judgement: Judgement) -> ReportView:
    """Arrange a run and its judgement.

    Raises:
        RecordError: the judgement is not about this run.
    """
    by_cell = _verdicts_by_cell(run, judgement)
    seen = {record.key: record for record in run.cells}
    answers = {found.cell: found for found in judgement.answers}
    cells = tuple(
        view_cell(number, planned, seen.get(planned.key), Judged(by_cell[planned.key], answers.get(planned.key)), run)
        for number, planned in enumerate(run.plan.cells)
    )
    columns = tuple(dict.fromkeys(cell.title for cell in cells))
    met = {record.name: record for record in run.devices}
    counted = ((outcome, judgement.decision.counts.get(outcome.value, 0)) for outcome in wording.WORST_FIRST)
    return ReportView(
        release=judgement.decision.release,
        exit_code=judgement.decision.exit_code,
        sentence=neutral(judgement.decision.sentence).removeprefix(f"{judgement.decision.release.value}: "),
        scope=_scope(run.plan.devices),
        counts=tuple((outcome, number) for outcome, number in counted if number),
        blockers=_blockers(judgement, cells),
        coverage=_coverage(cells),
        columns=columns,
        boards=tuple(
            view_board(device, met.get(device.name), _row(device, columns, cells)) for device in run.plan.devices
        ),
        cells=cells,
        trades=trade_offs(cells) if run.plan.selftest is None else (),
        run=tuple(run_facts(run)),
        selftest=view_selftest(run, judgement),
        unproven=unproven_gates(run, judgement),
        title=neutral(f"{judgement.decision.release.value}: {run.plan.farm}, {run.started_at}"),
    )


def _verdicts_by_cell(run: RunRecord, judgement: Judgement) -> dict[str, list[Verdict]]:
    by_cell: dict[str, list[Verdict]] = {cell.key: [] for cell in run.plan.cells}
    if (judgement.run_id, judgement.plan_sha256) != (run.run_id, run.plan.sha256):
        raise RecordError(f"the judgement is of run {judgement.run_id}, not of {run.run_id}: judge this run again")
    for verdict in judgement.verdicts:
        if verdict.cell not in by_cell:
            raise RecordError(
                f"a verdict names the cell {verdict.cell!r}, which is not in the plan: judge this run again"
            )
        by_cell[verdict.cell].append(verdict)
    return by_cell


def _scope(devices: Sequence[Device]) -> str:
    physical = sum(device.tier is Tier.HARDWARE for device in devices)
    emulated = sum(wording.is_emulated(device.tier) for device in devices)
    replayed = sum(device.tier is Tier.REPLAYED for device in devices)
    if replayed:
        return "Recorded samples were judged again: this explains an earlier decision and releases nothing new."
    if emulated and not physical:
        boards = "The one board of this run is" if emulated == 1 else f"All {emulated} boards of this run are"
        return f"{boards} emulated. A verdict on an emulated board never stands for a physical one."
    if emulated:
        boards = (
            f"{wording.count(physical, 'physical board')} and {wording.count(emulated, 'emulated board')} were planned"
        )
        return f"{boards}. A verdict on an emulated board never stands for a physical one."
    return (
        f"{wording.count(physical, 'physical board')} planned, no emulated one."
        if physical
        else "No board was planned."
    )


def _blockers(judgement: Judgement, cells: Sequence[CellView]) -> tuple[Blocker, ...]:
    views = {cell.planned.key: cell for cell in cells}
    named = {f"{verdict.cell} {verdict.metric} {verdict.kind}": verdict for verdict in judgement.verdicts}
    together: dict[tuple[str, ...], list[Verdict]] = {}
    for name in judgement.decision.blockers:
        verdict = named.get(name)
        if verdict is not None:
            cause = (verdict.device, wording.cause_of(verdict))
            why = cause if verdict.estimate is None else (verdict.cell, verdict.metric, verdict.kind)
            together.setdefault((verdict.outcome, *why), []).append(verdict)
    return tuple(_blocker(views, group) for group in together.values())


def _blocker(views: Mapping[str, CellView], group: Sequence[Verdict]) -> Blocker:
    shown = {id(gate.verdict): gate for cell in {verdict.cell for verdict in group} for gate in views[cell].gates}
    gates = tuple(shown[id(verdict)] for verdict in sorted(group, key=urgency))
    first = gates[0].verdict
    reason = neutral(first.reason) if first.estimate else wording.cause_of(first)
    cells = tuple(views[key] for key in dict.fromkeys(verdict.cell for verdict in group))
    return Blocker(first.outcome, cells, gates, reason)


def _coverage(cells: Sequence[CellView]) -> Coverage:
    skipped = [cell for cell in cells if cell.worst is Outcome.SKIPPED]
    planned = [cell for cell in cells if cell.worst is not Outcome.SKIPPED]
    missing = [cell for cell in planned if not cell.is_measured]
    return Coverage(
        planned=len(planned),
        measured=len(planned) - len(missing),
        missing=tuple(Missing(cell, _why_missing(cell)) for cell in missing),
        skipped=tuple(Missing(cell, neutral(cell.planned.skip_reason) or _why_missing(cell)) for cell in skipped),
    )


def _why_missing(cell: CellView) -> str:
    lost = [gate for gate in cell.gates if gate.verdict.estimate is None and gate.outcome is not Outcome.PASS]
    reasons = list(dict.fromkeys(wording.cause_of(gate.verdict) for gate in lost if gate.reason))
    return reasons[0] if reasons else "there is no verdict for this cell"


def _row(device: Device, columns: Sequence[str], cells: Sequence[CellView]) -> tuple[tuple[CellView, ...], ...]:
    mine = [cell for cell in cells if cell.planned.device == device.name]
    return tuple(tuple(cell for cell in mine if cell.title == column) for column in columns)
