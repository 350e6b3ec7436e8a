"""The gate's own test as the reports show it: fault by gate, and which gates of a release never caught a fault.

Owns the arrangement and the words; must not draw.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.records.plan import PlannedCell
from harness.records.run import RunRecord
from harness.records.trial import Fate, Finding, Omission, Proof, Proofs
from harness.records.verdict import Judgement, Verdict
from harness.report import wording
from harness.report.wording import neutral
from harness.spec.model import Tier

WORST_FIRST = (Fate.SURVIVED, Fate.BLIND, Fate.LOST, Fate.KILLED)
MEANING = {
    Fate.KILLED: "the gate gave the answer that the fault deserves",
    Fate.SURVIVED: "the gate passed the fault, or named another thing",
    Fate.BLIND: "the gate gives such an answer without the fault too",
    Fate.LOST: "the farm failed or the board was disturbed, so the fault was not tried",
}
SIGNS = {Fate.KILLED: "PASS", Fate.SURVIVED: "FAIL", Fate.BLIND: "INCONCLUSIVE", Fate.LOST: "INFRA"}
"""Whose colour and shape a fate has in a drawing."""


@dataclass(frozen=True, slots=True)
class FindingView:
    """One fault at one gate of one board, ready to show."""

    fate: Fate
    fault: str
    title: str
    gate: str
    board: str
    tier: str
    expected: str
    answered: str
    reason: str
    anchor: str
    """Of the cell."""


@dataclass(frozen=True, slots=True)
class OmissionView:
    """Faults that were not planted on some boards for one reason."""

    faults: str
    boards: str
    reason: str


@dataclass(frozen=True, slots=True)
class SelfTestView:
    """A whole self-test."""

    counts: tuple[tuple[Fate, int], ...]
    findings: tuple[FindingView, ...]
    """The worst first, then in plan order."""
    omissions: tuple[OmissionView, ...]


def view_selftest(run: RunRecord, judgement: Judgement) -> SelfTestView | None:
    """Arrange a self-test; None for a release."""
    if run.plan.selftest is None:
        return None
    anchors = {cell.key: f"cell-{number}" for number, cell in enumerate(run.plan.cells)}
    ranked = sorted(judgement.findings, key=lambda found: WORST_FIRST.index(found.fate))
    fates = [found.fate for found in ranked]
    return SelfTestView(
        counts=tuple((fate, fates.count(fate)) for fate in WORST_FIRST if fate in fates),
        findings=tuple(_view(found, anchors) for found in ranked),
        omissions=tuple(_omissions(run.plan.selftest.omissions)),
    )


def proof_of(verdict: Verdict, planned: PlannedCell, proofs: Proofs | None) -> str:
    """Say which planted fault a gate has caught on boards of this tier, `unproven` when none."""
    found = _by_gate(proofs).get((verdict.metric, verdict.kind, planned.tier))
    return f"proven {found.proven_at[:10]} by {found.fault}" if found is not None else "unproven"


def unproven_gates(run: RunRecord, judgement: Judgement) -> tuple[str, ...]:
    """Name the gates of a release that no self-test of this code saw catch a fault.

    Returns:
        `latency.p95 max (hardware)` for each; `all 9 kinds of gate on hardware boards` where none is proven.
    """
    if run.plan.selftest is not None:
        return ()
    proven = _by_gate(run.proofs)
    cells = {cell.key: cell for cell in run.plan.cells}
    found: dict[Tier, dict[str, bool]] = {}
    for verdict in judgement.verdicts:
        planned = cells[verdict.cell]
        if not planned.skip_reason:
            is_proven = (verdict.metric, verdict.kind, planned.tier) in proven
            found.setdefault(planned.tier, {})[_plain_gate(verdict.metric, verdict.kind)] = is_proven
    return tuple(name for tier, gates in found.items() for name in _unproven_on(tier, gates))


def _unproven_on(tier: Tier, gates: Mapping[str, bool]) -> list[str]:
    if len(gates) > 1 and not any(gates.values()):
        return [f"all {len(gates)} kinds of gate on {tier.value} boards"]
    return [f"{gate} ({tier.value})" for gate, is_proven in gates.items() if not is_proven]


def selftest_lines(shown: SelfTestView, width: int) -> list[str]:
    """Write a self-test for a terminal: what was not killed in full, what was in one line per fault."""
    lines = []
    for found in shown.findings:
        if found.fate is not Fate.KILLED:
            lines += [f"{found.fate.value.upper():9} {found.fault} at {found.gate} on {found.board}: {found.title}"]
            said = f"expected {found.expected}, answered {found.answered}: {found.reason}"
            lines += textwrap.wrap(said, width, initial_indent=" " * 10, subsequent_indent=" " * 10)
    killed: dict[str, dict[str, list[str]]] = {}
    for found in shown.findings:
        if found.fate is Fate.KILLED:
            killed.setdefault(found.fault, {}).setdefault(f"{found.gate} {found.answered}", []).append(found.board)
    for fault, answers in killed.items():
        said = "; ".join(f"{answer} ({', '.join(boards)})" for answer, boards in answers.items())
        lines += textwrap.wrap(f"KILLED    {fault}: {said}", width, subsequent_indent=" " * 10)
    for left in shown.omissions:
        text = f"NOT TRIED {left.reason} ({left.boards}): {left.faults}"
        lines += textwrap.wrap(text, width, subsequent_indent=" " * 10)
    counts = ", ".join(f"{number} {fate.value}" for fate, number in shown.counts) or "none planted"
    return [*lines, "", f"Planted faults: {counts}."]


def _view(found: Finding, anchors: Mapping[str, str]) -> FindingView:
    return FindingView(
        fate=found.fate,
        fault=neutral(found.fault),
        title=neutral(found.title),
        gate=_plain_gate(found.metric, found.kind),
        board=neutral(found.device),
        tier=found.tier.value,
        expected=found.expected.value,
        answered=found.answered.value,
        reason=neutral(found.reason),
        anchor=anchors.get(found.cell, ""),
    )


def _plain_gate(metric: str, kind: str) -> str:
    return "loads and runs" if metric == wording.CRASH else f"{metric} {kind}"


def _omissions(left: Sequence[Omission]) -> Iterable[OmissionView]:
    """Join what was left out for one reason: first the faults of a board, then the boards."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for item in left:
        by_reason.setdefault((item.reason, item.device or "any board"), []).append(item.fault)
    joined: dict[tuple[str, str], list[str]] = {}
    for (reason, board), faults in by_reason.items():
        joined.setdefault((reason, ", ".join(faults)), []).append(board)
    for (reason, names), boards in joined.items():
        yield OmissionView(neutral(names), neutral(", ".join(boards)), neutral(reason))


def _by_gate(proofs: Proofs | None) -> dict[tuple[str, str, Tier], Proof]:
    return {(proof.metric, proof.kind, proof.tier): proof for proof in (proofs.gates if proofs is not None else ())}
