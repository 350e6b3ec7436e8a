"""A campaign turned into a self-test: one short cell per fault and board, a control beside them, changed files.

Owns which fault is tried on which cell: every pair of fault and gate once per board (once per run where the check knows
no board), on the first cell that has such a gate. Contacts no board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.campaign.plan import Campaign, seal
from harness.campaign.selftest.amount import Amount, amount_of, why_not
from harness.campaign.selftest.catalogue import CONTROL, CRASH, FAULTS, RUNS, Fault
from harness.campaign.selftest.cell import Spot, TrialCell, make_trial_cell
from harness.records.outcome import Outcome
from harness.records.trial import Answer, Omission, Place, SelfTest, Trial


@dataclass
class SelfTestPlanner:
    """Plans the trials of a campaign; `folder` takes the changed files, named by their hash."""

    folder: Path
    _tried: set[tuple[str, str, str, str]] = field(default_factory=set)
    """(fault, board, metric, kind) that a cell is planned for; no board where one is enough."""
    _omitted: dict[tuple[str, str], str] = field(default_factory=dict)

    def plan(self, campaign: Campaign) -> Campaign:
        """Give the self-test of a campaign.

        Args:
            campaign: a release campaign, already narrowed to what was selected.

        Raises:
            OSError: a file of the suite cannot be read any more.
        """
        devices = {device.name: replace(device, selftest=True) for device in campaign.plan.devices}
        made: list[TrialCell] = []
        for cell in campaign.plan.cells:
            # What a foreign tool prints is not ours to spoil: its gates stay unproven, and reports say so.
            if not cell.skip_reason and cell.key in campaign.files and cell.workload.tool is None:
                made += self._trials(Spot(cell, devices[cell.device], campaign.files[cell.key]))
        plan = replace(
            campaign.plan,
            cells=tuple(trial.planned for trial in made),
            devices=tuple(devices.values()),
            selftest=SelfTest(self._omissions()),
        )
        return Campaign(seal(plan), {trial.planned.key: trial.files for trial in made})

    def _omissions(self) -> tuple[Omission, ...]:
        planned = {(fault, board) for fault, board, _, _ in self._tried}
        left = {place: reason for place, reason in self._omitted.items() if place not in planned}
        return tuple(Omission(fault, board, reason) for (fault, board), reason in left.items())

    def _trials(self, spot: Spot) -> list[TrialCell]:
        made = [trial for fault in FAULTS for trial in self._of_fault(fault, spot)]
        if not made:
            return []
        aimed = {(limit.metric, limit.kind.value) for trial in made for limit in trial.planned.limits}
        passes = (Answer(metric, kind, Outcome.PASS) for metric, kind in sorted(aimed))
        answers = (Answer(CRASH, RUNS, Outcome.PASS), *passes)
        control = Trial(CONTROL, "the same without a fault", Place.NOWHERE, answers)
        cell = make_trial_cell(spot, control, self.folder, "")
        return [cell, *made] if cell is not None else made

    def _of_fault(self, fault: Fault, spot: Spot) -> list[TrialCell]:
        """Give the cells of a fault, if it has gates here that no cell is planned for yet."""
        board = "" if fault.once else spot.device.name
        aimed = fault.answers(spot.planned.limits, spot.device)
        answers = [item for item in aimed if (fault.name, board, item.metric, item.kind) not in self._tried]
        if not aimed:
            self._omitted.setdefault((fault.name, board), _no_gate(fault, spot))
        made: list[TrialCell] = []
        for amount, together in _by_amount(fault, answers, spot).items():
            reason = why_not(fault, amount)
            name = f" {together[0].metric}" if made else ""
            cell = None if reason else make_trial_cell(spot, _trial(fault, amount, together, spot), self.folder, name)
            if cell is None:
                reason = reason or f"{spot.planned.model.name} or its data cannot be changed in this way"
                self._omitted.setdefault((fault.name, board), reason)
                continue
            self._tried |= {(fault.name, board, item.metric, item.kind) for item in together}
            made.append(cell)
        return made


def _by_amount(fault: Fault, answers: Sequence[Answer], spot: Spot) -> dict[Amount, list[Answer]]:
    """Put the gates together that one size of the fault suffices for: what passes a wide limit proves no narrow one."""
    limits = {(limit.metric, limit.kind.value): limit for limit in spot.planned.limits}
    found: dict[Amount, list[Answer]] = {}
    for item in answers:
        limit = limits.get((item.metric, item.kind))
        found.setdefault(amount_of(fault, limit, spot.device), []).append(item)
    return found


def _trial(fault: Fault, amount: Amount, answers: Sequence[Answer], spot: Spot) -> Trial:
    return Trial(
        fault.name,
        fault.title,
        fault.place,
        tuple(answers),
        spot.key(CONTROL),
        fault.sessions,
        amount.ratio,
        amount.target,
        fault.incident,
        fault.spoils,
    )


def _no_gate(fault: Fault, spot: Spot) -> str:
    if spot.device.tier not in fault.tiers:
        return f"may decide nothing on a board of the tier {spot.device.tier.value}"
    return "the suite sets no limit that it could break here"
