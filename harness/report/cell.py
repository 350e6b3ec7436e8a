"""One cell of the matrix as the reports show it: its gates in order of urgency, its sessions, how to do it again.

Owns the words around one cell. Must not draw and must not know HTML; text that came from a board is neutral here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.records.cell import CellRecord, Incident, Role, SessionRecord
from harness.records.fingerprint import board_fingerprint
from harness.records.outcome import Outcome
from harness.records.plan import PlannedCell
from harness.records.run import RunRecord
from harness.records.verdict import Estimate, Verdict
from harness.report import wording
from harness.report.answers import AnswersView, Judged, view_answers
from harness.report.calibration import calibration_of
from harness.report.provenance import Fact, provenance, reproduce
from harness.report.selftest import proof_of
from harness.report.trail import choice_of, flips_of, trail_of
from harness.report.wording import neutral
from harness.spec.model import Tier


@dataclass(frozen=True, slots=True)
class GateView:
    """One gate in words; `verdict` keeps the numbers for drawing."""

    verdict: Verdict
    outcome: Outcome
    name: str
    value: str
    interval: str
    limit: str
    margin: str
    origin: str
    evidence: str
    """Count and method: `n = 6, median of sessions, …`."""
    label: str
    """`modelled`, `simulated`, `virtual` or empty."""
    reason: str
    compared: str
    """For relative gates: candidate against baseline, with where the baseline comes from."""
    where: str = ""
    """Which operators a change of work comes from."""
    flips: str = ""
    """The limit at which the verdict would be another one."""
    trail: str = ""
    """For gates that were decided in pairs: how."""
    choice: str = ""
    """… by which test, and what the choice rests on."""
    proof: str = ""
    """Which planted fault the gate has caught: `proven 2026-11-24 by busy`, or `unproven`; empty in a self-test."""
    calibration: str = ""
    """… and what was known of the board's noise, or that nothing was."""

    @property
    def is_count(self) -> bool:
        """Tell whether a count of instructions is shown, as this gate's figure or as what it is compared with."""
        verdict = self.verdict
        return wording.is_count(verdict.metric) and bool(verdict.estimate or verdict.candidate or verdict.baseline)

    @property
    def has_evidence(self) -> bool:
        """Tell whether it was measured; INCONCLUSIVE without a figure is a failed session or no baseline."""
        undecided = self.outcome is Outcome.INCONCLUSIVE
        return self.outcome in DECIDED and not (undecided and self.verdict.estimate is None)


@dataclass(frozen=True, slots=True)
class SessionView:
    """One fresh process on the board: position, role, kind and its figures in words."""

    order: int
    role: str
    kind: str
    figures: str
    flags: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What happened, in a line, and the log behind it (may be empty)."""

    outcome: Outcome
    code: str
    message: str
    log: str


@dataclass(frozen=True, slots=True)
class CellView:
    """One planned cell; `worst` is that of its gates, NOT_RUN when there is no verdict at all."""

    key: str
    anchor: str
    title: str
    board: str
    planned: PlannedCell
    record: CellRecord | None
    worst: Outcome
    headline: GateView | None
    """The gate that a reader should see first: the worst, then the one with the least margin."""
    gates: tuple[GateView, ...]
    sessions: tuple[SessionView, ...]
    incidents: tuple[IncidentView, ...]
    answers: AnswersView | None
    provenance: tuple[Fact, ...]
    notes: tuple[str, ...]
    """What no gate depends on."""
    flags: tuple[str, ...]
    reproduce: str

    @property
    def summary(self) -> str:
        """Say the headline in a few words: the gate, or how many gates have no evidence."""
        lost = sum(gate.outcome not in DECIDED for gate in self.gates)
        if self.headline is None:
            return "no verdict"
        if self.headline.outcome in DECIDED:
            return self.headline.name
        return "not planned" if self.worst is Outcome.SKIPPED else f"no evidence for {wording.count(lost, 'gate')}"

    @property
    def is_counted(self) -> bool:
        """Tell whether counts of instructions are shown: by a gate, or drawn from the samples of its sessions."""
        sessions = self.record.sessions if self.record else ()
        return any(gate.is_count for gate in self.gates) or any("instructions" in item.arrays for item in sessions)

    @property
    def is_measured(self) -> bool:
        """Tell whether every gate of the cell has evidence that decides or could decide."""
        return bool(self.gates) and all(gate.has_evidence for gate in self.gates)


DECIDED = frozenset({Outcome.PASS, Outcome.FAIL, Outcome.REGRESSION, Outcome.INCONCLUSIVE})


def view_cell(number: int, planned: PlannedCell, record: CellRecord | None, judged: Judged, run: RunRecord) -> CellView:
    """Describe one cell.

    Args:
        number: its position in the plan, from 0.
        planned: what was asked.
        record: what was seen; None when nothing was.
        judged: what the gate concluded about this cell.
        run: the run, for the command that measured it.
    """
    gates = _gates(planned, judged, run)
    sessions = record.sessions if record else ()
    worst = gates[0].outcome if gates else Outcome.SKIPPED if planned.skip_reason else Outcome.NOT_RUN
    return CellView(
        key=neutral(planned.key),
        anchor=f"cell-{number}",
        title=neutral(f"{planned.suite}::{planned.artifact}" + (f" {planned.trial.fault}" if planned.trial else "")),
        board=neutral(planned.device),
        planned=planned,
        record=record,
        worst=worst,
        headline=gates[0] if gates else None,
        gates=gates,
        sessions=tuple(_view_session(session, planned.tier) for session in sessions),
        incidents=_incidents(record),
        answers=view_answers(planned, judged.answers) if judged.answers else None,
        provenance=tuple(provenance(planned, record)),
        notes=tuple(neutral(note, longest=500) for note in (record.notes if record else ())),
        flags=tuple(sorted({neutral(flag) for session in sessions for flag in session.flags})),
        reproduce=reproduce(planned, run),
    )


def _gates(planned: PlannedCell, judged: Judged, run: RunRecord) -> tuple[GateView, ...]:
    """Say the cell's verdicts, and what is known of the board's noise and of each gate's proof."""
    is_release = run.plan.selftest is None and not planned.skip_reason
    board = board_fingerprint(next((device.facts for device in run.devices if device.name == planned.device), None))
    return tuple(
        replace(
            view_gate(verdict),
            calibration=calibration_of(verdict, planned, board),
            proof=proof_of(verdict, planned, run.proofs) if is_release else "",
        )
        for verdict in sorted(judged.verdicts, key=urgency)
    )


def urgency(verdict: Verdict) -> tuple[int, float, str, str]:
    """Order verdicts: worst outcome first, then the least margin; a gate without margin goes before those with one."""
    passes = verdict.outcome in {Outcome.PASS, Outcome.SKIPPED}
    margin = verdict.margin if verdict.margin is not None else float("inf") if passes else float("-inf")
    metric = "" if verdict.metric == wording.CRASH else verdict.metric
    return wording.WORST_FIRST.index(verdict.outcome), margin, metric, verdict.kind


def view_gate(verdict: Verdict) -> GateView:
    """Say one verdict in words."""
    estimate = verdict.estimate
    return GateView(
        verdict=verdict,
        outcome=verdict.outcome,
        name=wording.gate_name(verdict),
        value=wording.value_of(verdict),
        interval=wording.interval_of(estimate, verdict.metric, verdict.kind),
        limit=wording.limit_of(verdict),
        margin=wording.margin_of(verdict),
        origin=neutral(verdict.origin),
        evidence=_evidence(estimate),
        label=neutral(estimate.label) if estimate else "",
        reason=neutral(verdict.reason),
        compared=_compared(verdict),
        where=neutral(verdict.where, longest=500),
        flips=flips_of(verdict),
        trail=trail_of(verdict),
        choice=choice_of(verdict),
    )


def _evidence(estimate: Estimate | None) -> str:
    if estimate is None or not estimate.method:
        return ""
    parts = [f"n = {estimate.n}", neutral(estimate.method)]
    return ", ".join(parts + [wording.scalar(name, value) for name, value in sorted(estimate.components.items())])


def _compared(verdict: Verdict) -> str:
    if not wording.is_relative(verdict.kind) or verdict.candidate is None or verdict.baseline is None:
        return f"baseline: {neutral(verdict.baseline_source)}" if verdict.baseline_source else ""
    if verdict.metric.startswith("work.") and verdict.outcome is Outcome.PASS:
        return f"{neutral(verdict.reason)} (baseline: {neutral(verdict.baseline_source)})"
    label = f" {neutral(verdict.candidate.label)}" if verdict.candidate.label else ""
    new, old = (_plain(estimate, verdict.metric) + label for estimate in (verdict.candidate, verdict.baseline))
    other = "baseline" if verdict.kind == "regress" else "reference"
    source = f" ({neutral(verdict.baseline_source)})" if verdict.baseline_source else ""
    return f"candidate {new}, {other} {old}{source}"


def _plain(estimate: Estimate, metric: str) -> str:
    return wording.figure(estimate.value, wording.dimension_of(metric))


def _view_session(session: SessionRecord, tier: Tier) -> SessionView:
    known = {name: value for name, value in session.scalars.items() if not name.startswith(("window", "idle"))}
    virtual = tier is Tier.DETERMINISTIC
    figures = ", ".join(wording.scalar(name, value, is_virtual=virtual) for name, value in sorted(known.items()))
    return SessionView(
        session.order, session.role.value, session.kind.value, figures, ", ".join(map(neutral, session.flags))
    )


def _incidents(record: CellRecord | None) -> tuple[IncidentView, ...]:
    return tuple(
        IncidentView(
            incident.outcome,
            neutral(incident.code),
            _spoken(incident),
            neutral(incident.message.partition("\n")[2], lines=True, longest=8192),
        )
        for incident in (record.incidents if record else ())
    )


def _spoken(incident: Incident) -> str:
    whose = "" if incident.role is Role.CANDIDATE else f"{incident.role.value}: "
    return whose + neutral(incident.message.partition("\n")[0])
