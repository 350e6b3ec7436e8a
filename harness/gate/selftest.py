"""What a self-test of the gate has shown: each planted fault against the answers that the plan demanded. Pure.

A fault is killed only by the gate that it was meant for, with the outcome and the words that it deserves, and only
where the same cell passes without it: a gate that always says no has caught nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.gate.cell import judge_cell
from harness.gate.decision import EXIT_GO, EXIT_HOLD, EXIT_INFRA, EXIT_NO_GO, EXIT_SECURITY
from harness.gate.standing import Standing
from harness.records.cell import CellRecord
from harness.records.outcome import Attribution, Outcome, Release
from harness.records.plan import Plan, PlannedCell
from harness.records.trial import Answer, Fate, Finding, Trial
from harness.records.verdict import Decision, Verdict
from harness.stats import Evidence
from harness.stats.evidence import spoiling_flags

FARMS_OWN = frozenset({Outcome.INFRA, Outcome.DEVICE, Outcome.CANCELLED, Outcome.SECURITY, Outcome.NOT_RUN})
"""Outcomes of incidents that may have nothing to do with what was planted."""
NO = frozenset({Outcome.FAIL, Outcome.REGRESSION})

Gate = tuple[str, str, str]
"""Cell, metric, kind."""


def assess(plan: Plan, verdicts: Sequence[Verdict], records: Mapping[str, CellRecord]) -> tuple[Finding, ...]:
    """Say of every planted fault and every gate that must answer it what came of it.

    Args:
        plan: a self-test.
        verdicts: of all of its cells, as any run is judged.
        records: of its cells by key.

    Returns:
        One finding per fault and gate, in plan order; none for the controls.
    """
    by_gate = {(verdict.cell, verdict.metric, verdict.kind): verdict for verdict in verdicts}
    findings: list[Finding] = []
    for cell in plan.cells:
        trial = cell.trial
        if trial is not None and trial.control:
            findings += [_finding(cell, trial, answer, by_gate, records) for answer in trial.answers]
    return tuple(findings)


def judge_trial(planned: PlannedCell, evidence: Evidence | None, standing: Standing | None) -> tuple[Verdict, ...]:
    """Judge a cell with a planted fault as any cell is judged; a gate that breaks on it has not caught it."""
    try:
        return judge_cell(planned, evidence, standing)
    except Exception as error:  # noqa: BLE001  what a missing check lets through may break anything behind it
        broke = f"the gate broke on it: {type(error).__name__}: {error}"
        return judge_cell(planned, None, Standing(Outcome.INCONCLUSIVE, Attribution.UNKNOWN, broke))


def decide_selftest(findings: Sequence[Finding], verdicts: Sequence[Verdict]) -> Decision:
    """Decide a self-test: 0 when every planted fault was killed, 1 when one was not, 20 when the farm failed.

    It never releases anything, whatever it shows.
    """
    counts = Counter(finding.fate for finding in findings)
    told = Counter(verdict.outcome.value for verdict in verdicts)
    open_ones = [finding for finding in findings if finding.fate is not Fate.KILLED]
    ranked = sorted(open_ones, key=lambda finding: _URGENCY.index(finding.fate))
    blockers = tuple(f"{finding.cell} {finding.metric} {finding.kind}" for finding in ranked)
    return Decision(Release.SELF_TEST, _exit_code(counts, told), _sentence(counts, ranked), dict(told), blockers)


_WORDS = {Fate.SURVIVED: "survived", Fate.BLIND: "met a gate that says no without them", Fate.LOST: "were lost"}
_URGENCY = (Fate.SURVIVED, Fate.BLIND, Fate.LOST, Fate.KILLED)


def _finding(
    cell: PlannedCell,
    trial: Trial,
    answer: Answer,
    by_gate: Mapping[Gate, Verdict],
    records: Mapping[str, CellRecord],
) -> Finding:
    verdict = by_gate[cell.key, answer.metric, answer.kind]
    control = by_gate.get((trial.control, answer.metric, answer.kind))
    fate, reason = _fate(trial, answer, verdict, control, records.get(cell.key))
    return Finding(
        cell.key,
        cell.device,
        cell.tier,
        trial.fault,
        trial.title,
        answer.metric,
        answer.kind,
        answer.outcome,
        verdict.outcome,
        reason,
        fate,
    )


def _fate(
    trial: Trial, answer: Answer, verdict: Verdict, control: Verdict | None, record: CellRecord | None
) -> tuple[Fate, str]:
    if control is None or control.outcome in FARMS_OWN:
        said = "has no verdict" if control is None else f"is {control.outcome.value}: {control.reason}"
        return Fate.LOST, f"without the fault this gate {said}"
    if _is_answer(control, answer) or control.outcome in NO:
        return Fate.BLIND, f"without the fault this gate is {control.outcome.value} too: {control.reason}"
    if _is_answer(verdict, answer):
        return Fate.KILLED, verdict.reason
    if _failed_otherwise(trial, answer, record):
        return Fate.LOST, verdict.reason
    if verdict.outcome is answer.outcome:
        return Fate.SURVIVED, f"it must say {answer.words!r}, and says: {verdict.reason}"
    return Fate.SURVIVED, verdict.reason


def _is_answer(verdict: Verdict, answer: Answer) -> bool:
    return verdict.outcome is answer.outcome and answer.words in verdict.reason


def _failed_otherwise(trial: Trial, answer: Answer, record: CellRecord | None) -> bool:
    """Tell whether farm or board took the evidence away by themselves: an incident, or sessions that they disturbed."""
    if record is None:
        return True
    if answer.outcome in NO and any(spoiling_flags(session) for session in record.sessions):
        return True
    return any(item.outcome in FARMS_OWN and item.code != trial.incident for item in record.incidents)


def _exit_code(counts: Counter[Fate], told: Counter[str]) -> int:
    if told[Outcome.SECURITY.value]:
        return EXIT_SECURITY
    if counts[Fate.SURVIVED] or counts[Fate.BLIND]:
        return EXIT_NO_GO
    if counts[Fate.LOST]:
        return EXIT_INFRA
    return EXIT_GO if counts[Fate.KILLED] else EXIT_HOLD


def _sentence(counts: Counter[Fate], ranked: Sequence[Finding]) -> str:
    """Say it in one sentence; what is planted at two gates counts twice."""
    planted = counts.total()
    if not planted:
        return "SELF-TEST: no fault was planted, because no gate of this plan can be broken."
    if not ranked:
        return f"SELF-TEST: all {planted} planted faults were killed by the gates meant for them; nothing is released."
    fates = (
        (Fate.SURVIVED, "survived"),
        (Fate.BLIND, "met a gate that says no without them"),
        (Fate.LOST, "were lost"),
    )
    parts = ", ".join(f"{counts[fate]} {words}" for fate, words in fates if counts[fate])
    worst = ranked[0]
    return f"SELF-TEST: of {planted} planted faults {parts}; worst is {worst.cell} at {worst.metric} {worst.kind}."
