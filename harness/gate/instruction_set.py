"""Instruction sets compared within a run: one artifact on several deterministic boards, from the record alone.

Pure. It informs: what differs is shown beside the verdicts, and gates decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from harness.gate.judge import SampleReader
from harness.records.cell import CellRecord, Role, SessionKind, SessionRecord
from harness.records.instruction_set import InstructionSets
from harness.records.outcome import Attribution, Outcome
from harness.records.plan import PlannedCell
from harness.records.run import DeviceRecord, RunRecord
from harness.records.verdict import Estimate
from harness.spec.model import Device, Tier
from harness.stats import Evidence, Missing
from harness.stats.instruction_set import Sighting, contrast
from harness.stats.work import work_estimate

_WORK = "work.instructions"


@dataclass(frozen=True, slots=True)
class _Column:
    """What must be equal for a difference to be the instruction set's: file, data, runtime as it told itself."""

    suite: str
    artifact: str
    model: str
    data: str
    runtime: str


def compare_boards(run: RunRecord, samples: SampleReader) -> tuple[InstructionSets, ...]:
    """Compare every artifact that ran on deterministic boards of at least two CPUs under one runtime build.

    Args:
        run: what was planned and seen.
        samples: gives the raw arrays of a cell; read one cell at a time.

    Raises:
        RecordError: a sample file is not what the record says.
    """
    devices = {device.name: device for device in run.plan.devices}
    met = {device.name: device for device in run.devices}
    columns: dict[_Column, list[tuple[PlannedCell, CellRecord]]] = {}
    for planned, record in _cells(run, devices):
        columns.setdefault(_column(planned, record), []).append((planned, record))
    found = []
    for column, cells in columns.items():
        if len({_cpu(devices[planned.device]) for planned, _ in cells}) > 1:
            seen = [
                _sighting(Evidence(planned, devices[planned.device], record, samples.arrays(planned.key)), met)
                for planned, record in cells
            ]
            name = f"{column.suite}::{column.artifact}"
            told = contrast(name, seen)
            data = cells[0][0].data.name
            found.append(InstructionSets(name, column.model, column.runtime, data, told.rows, told.findings))
    return tuple(found)


def _cells(run: RunRecord, devices: Mapping[str, Device]) -> Iterator[tuple[PlannedCell, CellRecord]]:
    """Give what ran, or failed, on deterministic boards; what was never tried says nothing of an instruction set."""
    records = {record.key: record for record in run.cells}
    for planned in run.plan.cells:
        record = records.get(planned.key)
        device = devices.get(planned.device)
        if record is None or device is None or device.tier is not Tier.DETERMINISTIC or device.emulation is None:
            continue
        if any(session.role is Role.CANDIDATE for session in record.sessions) or _failure(record):
            yield planned, record


def _column(planned: PlannedCell, record: CellRecord) -> _Column:
    versions = [session.runtime.version for session in record.sessions if session.role is Role.CANDIDATE]
    # A runtime that never came up could not tell its version: its build is what was to be one.
    runtime = versions[0] if versions else planned.build.replace("==", " ")
    return _Column(planned.suite, planned.artifact, planned.model.sha256, planned.data.sha256, runtime)


def _cpu(device: Device) -> str:
    return device.emulation.cpu if device.emulation else device.name


def _sighting(evidence: Evidence, met: Mapping[str, DeviceRecord]) -> Sighting:
    device, board = evidence.device, met.get(evidence.device.name)
    facts = board.facts if board else None
    answers = evidence.sessions(Role.CANDIDATE, SessionKind.ACCURACY)
    peaks = [
        session.scalars["hwm_bytes"]
        for session in evidence.sessions(Role.CANDIDATE, SessionKind.MEMORY)
        if "hwm_bytes" in session.scalars
    ]
    timed = evidence.sessions(Role.CANDIDATE, SessionKind.TIMING)
    work = (
        work_estimate(evidence, _WORK, Role.CANDIDATE) if any("instructions" in item.arrays for item in timed) else None
    )
    return Sighting(
        cpu=f"{_cpu(device)} ({device.name})" if device.name != _cpu(device) else device.name,
        board=board.emulator if board else "",
        exists=device.emulation is None or device.emulation.exists,
        features=facts.features if facts else (),
        outputs=_outputs(evidence, answers[0]) if answers else (),
        output_types=_types(answers[0]) if answers else (),
        instructions=work.value if isinstance(work, Estimate) else None,
        uncounted=work.reason if isinstance(work, Missing) else "",
        load_instructions=_value(evidence, "work.load"),
        first_instructions=_value(evidence, "work.first"),
        peak_bytes=float(np.median(peaks)) if peaks else None,
        failure=_failure(evidence.cell),
    )


def _value(evidence: Evidence, metric: str) -> float | None:
    found = work_estimate(evidence, metric, Role.CANDIDATE)
    return None if isinstance(found, Missing) else found.value


def _outputs(evidence: Evidence, session: SessionRecord) -> tuple[np.ndarray, ...]:
    names = sorted((name for name in session.arrays if name.startswith("output_")), key=lambda name: int(name[7:]))
    found = (evidence.array(session, name) for name in names)
    return tuple(array for array in found if array is not None)


def _types(session: SessionRecord) -> tuple[str, ...]:
    told = session.settings.get("output_types", "")
    return tuple(told.split(", ")) if told else ()


def _failure(record: CellRecord) -> str:
    """Give the sentence of a failure that is the model's."""
    own = (
        item.message
        for item in record.incidents
        if item.role is Role.CANDIDATE and item.outcome is Outcome.FAIL and item.attribution is Attribution.MODEL
    )
    return next(own, "")
