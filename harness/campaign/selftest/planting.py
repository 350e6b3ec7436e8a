"""Planting: a board that hands the fault of a trial to the sessions of the candidate, and what becomes of the evidence.

The one seam between a campaign and a self-test; a cell without a trial passes through untouched.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import EXTERNAL, PlantRequest, SessionRequest
from harness.campaign.selftest.external import spoil_external
from harness.campaign.selftest.tamper import tamper
from harness.campaign.work import CellEvidence
from harness.records.plan import PlannedCell
from harness.records.run import DeviceRecord
from harness.records.trial import Place, Trial

if TYPE_CHECKING:
    from harness.farm.boards import OpenBoard, RuntimeEnvironment, SessionSeen

ON_THE_BOARD = frozenset({Place.SESSION, Place.REPLY, Place.BOARD})


def planted(board: OpenBoard, planned: PlannedCell) -> OpenBoard:
    """Give the board that a cell is measured on: as it is, unless the cell's trial plants something there."""
    trial = planned.trial
    return board if trial is None or trial.place not in ON_THE_BOARD else _PlantingBoard(board, planned, trial)


def settled(evidence: CellEvidence, planned: PlannedCell) -> CellEvidence:
    """Give the evidence as it is kept: with the record's own faults, and a board that is not lost to a planted one."""
    trial = planned.trial
    if trial is None:
        return evidence
    meant = evidence.fatal is not None and evidence.fatal.code == trial.incident
    record = tamper(trial.fault, evidence.record)
    named = {ref.key for ref in record.reference_arrays.values()}
    named |= {ref.key for session in record.sessions for ref in session.arrays.values()}
    arrays = {key: array for key, array in evidence.arrays.items() if key in named}
    return replace(evidence, record=record, arrays=arrays, fatal=None if meant else evidence.fatal)


class _PlantingBoard:
    """An open board whose sessions of the candidate carry a fault; everything else is the board's own."""

    def __init__(self, board: OpenBoard, planned: PlannedCell, trial: Trial) -> None:
        self._board = board
        self._model = planned.model.sha256
        self._kinds = trial.kinds
        self._plant = PlantRequest(trial.fault, trial.ratio, trial.target)

    @property
    def record(self) -> DeviceRecord:
        """The board as it was met."""
        return self._board.record

    def deploy(self, path: Path) -> str:
        """Bring a file to the board."""
        return self._board.deploy(path)

    def ensure_runtime(self, family: str, build: str) -> RuntimeEnvironment:
        """Bring a runtime to the board."""
        return self._board.ensure_runtime(family, build)

    def measure(self, request: SessionRequest) -> SessionSeen:
        """Run one session; the candidate is told by its bytes, which the baseline of a trial does not have."""
        carries = request.model == self._model and (not self._kinds or request.kind in self._kinds)
        if not carries:
            return self._board.measure(request)
        seen = self._board.measure(replace(request, plant=self._plant))
        is_external = request.meter is not None and request.meter.kind == EXTERNAL
        return spoil_external(seen, self._plant) if is_external else seen
