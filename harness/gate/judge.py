"""The judge: a pure function of the plan and of what was seen.

It joins records to the plan (a planned cell without a record is NOT_RUN, a record without a plan is an error), judges
every gate, and draws the release decision. Reads samples through a port; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from harness.errors import RecordError
from harness.gate.answers import describe_answers
from harness.gate.cell import judge_cell
from harness.gate.decision import decide_release
from harness.gate.multiplicity import hold_family
from harness.gate.selftest import assess, decide_selftest, judge_trial
from harness.gate.standing import Standing, lost_to, worst_incident
from harness.records.cell import CellRecord
from harness.records.fingerprint import board_fingerprint
from harness.records.outcome import Attribution, Outcome
from harness.records.plan import PlannedCell
from harness.records.run import DeviceRecord, RunRecord
from harness.records.verdict import CellAnswers, Judgement, Verdict
from harness.spec.model import Device
from harness.stats import Evidence
from harness.stats.evidence import AnyArray


class SampleReader(Protocol):
    """Where the raw arrays of a run are read from."""

    def arrays(self, cell_key: str) -> Mapping[str, AnyArray]:
        """Return the arrays of one cell by their key in its sample file; empty when it has none.

        Raises:
            RecordError: the file is missing or is not what the record says.
        """
        ...


def judge(run: RunRecord, samples: SampleReader) -> Judgement:
    """Judge a whole run.

    Raises:
        RecordError: a record that was not planned, two records of one cell, or a cell on an unknown device or one that
            is not what the plan says.
    """
    records = _join(run)
    devices = {device.name: device for device in run.plan.devices}
    met = {device.name: device for device in run.devices}
    verdicts: list[Verdict] = []
    answers: list[CellAnswers] = []
    for planned in run.plan.cells:
        device = devices.get(planned.device)
        if device is None:
            raise RecordError(f"{planned.key}: the plan names no device {planned.device!r}")
        if device.tier is not planned.tier:
            raise RecordError(f"{planned.key}: planned as {planned.tier}, but {device.name} is {device.tier}")
        record = records.get(planned.key)
        if record and record.sessions and device.name not in met:
            raise RecordError(f"{planned.key}: measured on {device.name}, of which the record says nothing")
        standing = _standing(record, met.get(planned.device), cancelled=run.cancelled)
        evidence = _evidence(planned, device, record, samples) if record and not standing else None
        evidence = _where_met(evidence, met.get(device.name)) if evidence else None
        verdicts.extend((judge_trial if planned.trial else judge_cell)(planned, evidence, standing))
        described = describe_answers(evidence) if evidence and planned.trial is None else None
        answers.extend([described] if described else [])
    if run.plan.selftest is not None:
        findings = assess(run.plan, verdicts, records)
        decision = decide_selftest(findings, verdicts)
        return Judgement(run.run_id, run.plan.sha256, tuple(verdicts), decision, findings=findings)
    held = hold_family(verdicts)
    return Judgement(run.run_id, run.plan.sha256, held, decide_release(held, run.plan), tuple(answers))


def _where_met(evidence: Evidence, board: DeviceRecord | None) -> Evidence:
    """Say in which state the board was met."""
    if board is None:
        return evidence
    return replace(evidence, snapshot=board.snapshot, board=board_fingerprint(board.facts))


def _join(run: RunRecord) -> dict[str, CellRecord]:
    planned = [cell.key for cell in run.plan.cells]
    if run.plan.selftest is None and any(cell.trial is not None for cell in run.plan.cells):
        raise RecordError("a fault was planted in a run that is no self-test")
    if len(set(planned)) != len(planned):
        raise RecordError("the plan names a cell twice")
    records = {record.key: record for record in run.cells}
    if len(records) != len(run.cells):
        raise RecordError("a cell has two records")
    unplanned = sorted(set(records) - set(planned))
    if unplanned:
        raise RecordError(f"{unplanned[0]} has a record but was never planned")
    return records


def _standing(record: CellRecord | None, met: DeviceRecord | None, *, cancelled: bool) -> Standing | None:
    """Say what speaks for all gates of a cell: a security incident always, anything else only without a record."""
    incidents = (*(met.incidents if met else ()), *(record.incidents if record else ()))
    worst = worst_incident(incidents)
    if worst and worst.outcome is Outcome.SECURITY:
        return lost_to(incidents)
    if record is not None:
        bare = not record.sessions and not record.incidents
        return Standing(Outcome.CANCELLED, Attribution.USER, "the run was cancelled") if bare and cancelled else None
    if cancelled and worst is None:
        return Standing(Outcome.CANCELLED, Attribution.USER, "the run was cancelled before this cell was measured")
    return lost_to(incidents)


def _evidence(planned: PlannedCell, device: Device, record: CellRecord, samples: SampleReader) -> Evidence:
    has_arrays = bool(record.reference_arrays) or any(session.arrays for session in record.sessions)
    return Evidence(planned, device, record, samples.arrays(planned.key) if has_arrays else {})
