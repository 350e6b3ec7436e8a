"""What there is to measure in one cell, and what came of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from harness.campaign.cell_files import CellFiles
from harness.campaign.evaluation import LONGEST_S
from harness.campaign.incident import incident_of
from harness.campaign.reference import Arrays
from harness.campaign.session import PlannedSession, Wanted, sessions_of
from harness.errors import FleetgateError
from harness.gate.schedule import most_pairs, paired_limits
from harness.records.cell import CellRecord, Pairing
from harness.records.plan import PlannedCell
from harness.spec.model import Device

INSTALL_S = 3600.0
"""Longest time to bring files and runtimes to a board."""
VIRTUAL_SLOWER = 10.0
"""How much slower still the clock of an emulated board goes where it counts instructions."""
EMULATED_SLOWER = 4.0
"""How much slower than ours the clock of an emulated board may go."""


@dataclass(frozen=True, slots=True)
class CellWork:
    """What is to be measured, on which board, with which files."""

    planned: PlannedCell
    device: Device
    files: CellFiles
    wanted: Wanted
    family: int = 1
    """Gates of the run that are decided in pairs."""

    @property
    def title(self) -> str:
        """What progress shows of it."""
        fault = f" {self.planned.trial.fault}" if self.planned.trial is not None else ""
        return f"{self.planned.suite}::{self.planned.artifact}{fault}"

    def sessions(self) -> tuple[PlannedSession, ...]:
        """Order the sessions of the cell."""
        return sessions_of(self.planned, self.device, self.wanted)

    @property
    def deadline_s(self) -> float:
        """Longest time that the cell may take: sessions (confirmed or repeated once), pairs, transfer, installation.

        The clock of an emulated board may be slower than ours. Single sessions that hang are noticed much earlier.
        """
        slower = EMULATED_SLOWER if self.device.emulation is not None else 1.0
        # One more: the reference, where a loss is to be explained.
        sessions = len(self.sessions()) + 1 + most_pairs(self.planned, self.device)
        workload = self.planned.workload
        asked, lasting = workload.generation, workload.sustain
        more_s = 2 * (asked.budget_s or LONGEST_S) * slower if asked is not None and asked.in_parts else 0.0
        if lasting is not None:
            more_s += 4 * lasting.time_s * slower * (VIRTUAL_SLOWER if self.device.emulation is not None else 1.0)
        return sessions * workload.deadline_s * 2 * slower + more_s + INSTALL_S


@dataclass(frozen=True, slots=True)
class CellEvidence:
    """What came of a cell; `fatal` says that the board is lost for the cells after it."""

    record: CellRecord
    arrays: Arrays = field(default_factory=dict)
    fatal: FleetgateError | None = None
    """Its incident stands in the record, perhaps with others after it: what the controller then could not compute."""

    def because_of(self, cause: FleetgateError) -> CellEvidence:
        """Name the true cause where the fatal error only came of it: a cancelled run, a deadline that cut the link."""
        assert self.fatal is not None
        told, true = incident_of(self.fatal), incident_of(cause)
        incidents = tuple(
            replace(true, role=item.role) if (item.code, item.message) == (told.code, told.message) else item
            for item in self.record.incidents
        )
        return replace(self, record=replace(self.record, incidents=incidents), fatal=cause)


def draw_coins(work: CellWork) -> Pairing | None:
    """Draw the seeds of a cell that is measured in pairs; None where every number of sessions is fixed."""
    if not paired_limits(work.planned, work.device):
        return None
    return Pairing(secrets.token_hex(8), secrets.token_hex(8), work.family)
