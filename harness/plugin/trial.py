"""From the evidence of a self-test to what pytest sees: each planted fault at each gate a subtest.

Judges with the same function that judges the whole run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin.options import reproduce
from harness.plugin.verdict import LONGEST
from harness.records.plan import Plan, PlannedCell
from harness.records.run import SCHEMA_VERSION, Environment, RunRecord
from harness.records.trial import Fate, Finding
from harness.report.wording import neutral

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.campaign.run import CellResult


@dataclass(frozen=True, slots=True)
class _Cells:
    """The samples of some cells, still in memory."""

    held: Mapping[str, Mapping[str, npt.NDArray[Any]]]

    def arrays(self, cell_key: str) -> Mapping[str, npt.NDArray[Any]]:
        return self.held.get(cell_key, {})


def judge_trials(plan: Plan, trials: Sequence[PlannedCell], results: Sequence[CellResult]) -> tuple[Finding, ...]:
    """Judge the trials of one item as if they were the whole self-test."""
    from harness.gate import judge

    run = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id="",
        started_at="",
        finished_at="",
        environment=Environment("", "", "", ()),
        plan=replace(plan, cells=tuple(trials)),
        devices=(results[-1].device,),
        cells=tuple(result.record for result in results),
    )
    arrays = {planned.key: result.arrays for planned, result in zip(trials, results, strict=True)}
    return judge(run, _Cells(arrays)).findings


def report_findings(item: pytest.Item, subtests: pytest.Subtests, findings: Sequence[Finding]) -> None:
    """Report what became of each fault; only a killed one passes."""
    for found in findings:
        with subtests.test(f"{found.fault}: {found.metric} {found.kind}"):
            if found.fate is not Fate.KILLED:
                pytest.fail(_text(item, found), pytrace=False)


def _text(item: pytest.Item, found: Finding) -> str:
    lines = [
        f"{found.fate.value}: {found.fault} ({found.title}) at {found.metric} {found.kind}",
        f"  board:     {found.device} ({found.tier.value})",
        f"  expected:  {found.expected.value}",
        f"  answered:  {found.answered.value}: {found.reason}",
        f"  reproduce: {reproduce(item.config, item.nodeid)}",
    ]
    return neutral("\n".join(lines), lines=True, longest=LONGEST)
