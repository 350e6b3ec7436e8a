"""From a cell's evidence to what pytest sees: each gate a subtest, each failure a text that holds the numbers.

Judges with the same function that judges the whole run, so that an item never says other than the release decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin.options import reproduce
from harness.records.fingerprint import board_fingerprint
from harness.records.outcome import Outcome
from harness.records.plan import Plan, PlannedCell
from harness.records.run import SCHEMA_VERSION, Environment, RunRecord
from harness.records.verdict import Estimate, Verdict
from harness.report.calibration import calibration_of
from harness.report.trail import choice_of, flips_of, trail_of
from harness.report.wording import neutral
from harness.spec.metric import METRICS, limit_dimension
from harness.spec.model import LimitKind
from harness.units import Dimension, format

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.campaign.run import CellResult

LONGEST = 8000
"""Characters of a failure text; what a board says in it is made harmless to read."""
GOOD = frozenset({Outcome.PASS, Outcome.SKIPPED})


@dataclass(frozen=True, slots=True)
class _OneCell:
    """The samples of one cell, still in memory."""

    key: str
    held: Mapping[str, npt.NDArray[Any]]

    def arrays(self, cell_key: str) -> Mapping[str, npt.NDArray[Any]]:
        return self.held if cell_key == self.key else {}


def judge_cell(plan: Plan, planned: PlannedCell, result: CellResult) -> tuple[Verdict, ...]:
    """Judge one cell as if it were the whole run."""
    from harness.gate import judge

    run = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id="",
        started_at="",
        finished_at="",
        environment=Environment("", "", "", ()),
        plan=replace(plan, cells=(planned,)),
        devices=(result.device,),
        cells=(result.record,),
    )
    return judge(run, _OneCell(planned.key, result.arrays)).verdicts


def report_cell(
    item: pytest.Item, subtests: pytest.Subtests, plan: Plan, planned: PlannedCell, result: CellResult
) -> None:
    """Judge a cell and report each verdict as a subtest; when one cause took all gates away, report it once.

    Raises:
        pytest.fail.Exception: no gate of the cell could be judged, for one reason.
    """
    verdicts = judge_cell(plan, planned, result)
    board = board_fingerprint(result.device.facts)
    causes = {(verdict.outcome, verdict.reason) for verdict in verdicts}
    runs = verdicts[0]
    if len(causes) == 1 and runs.outcome not in GOOD:
        pytest.fail(_cause_text(item, runs, len(verdicts)), pytrace=False)
    for verdict in verdicts:
        with subtests.test(f"{verdict.metric} {verdict.kind} {verdict.limit_text}".strip()):
            if verdict.outcome not in GOOD:
                pytest.fail(failure_text(item, planned, verdict, board), pytrace=False)


def failure_text(item: pytest.Item, planned: PlannedCell, verdict: Verdict, board: str) -> str:
    """Write all that a reader of JUnit needs about one gate: one sentence, then the figures line by line."""
    lines = [f"{verdict.outcome.value}: {verdict.reason}", f"  board:     {planned.device} ({planned.tier.value})"]
    compared = verdict.estimate
    if compared is not None:
        lines.append(f"  value:     {_figure(verdict, compared)}")
        lines.append(f"  method:    {compared.method}, n = {compared.n}")
    if verdict.baseline is not None:
        lines.append(f"  baseline:  {_own(verdict, verdict.baseline)} ({verdict.baseline_source})")
    if verdict.where:
        lines.append(f"  where:     {verdict.where}")
    if verdict.origin:
        lines.append(f"  limit:     {verdict.kind} {verdict.limit_text} ({verdict.origin})")
    if verdict.margin is not None:
        lines.append(", ".join(filter(None, (f"  margin:    {verdict.margin * 100:+.2f} %", flips_of(verdict)))))
    if verdict.trail is not None:
        lines += [f"  decided:   {trail_of(verdict)}", f"  test:      {choice_of(verdict)}"]
        lines.append(f"  noise:     {calibration_of(verdict, planned, board)}")
    lines.append(f"  reproduce: {reproduce(item.config, item.nodeid)}")
    return neutral("\n".join(lines), lines=True, longest=LONGEST)


def _cause_text(item: pytest.Item, runs: Verdict, gates: int) -> str:
    lines = [f"{runs.outcome.value}: {runs.reason}", f"  board:     {runs.device}"]
    if gates > 1:
        lines.append(f"  gates:     none of the {gates} gates of this cell could be judged")
    lines.append(f"  reproduce: {reproduce(item.config, item.nodeid)}")
    return neutral("\n".join(lines), lines=True, longest=LONGEST)


def _figure(verdict: Verdict, compared: Estimate) -> str:
    return _with_interval(compared, limit_dimension(METRICS[verdict.metric], LimitKind(verdict.kind)))


def _own(verdict: Verdict, estimate: Estimate) -> str:
    return _with_interval(estimate, METRICS[verdict.metric].dimension)


def _with_interval(estimate: Estimate, dimension: Dimension) -> str:
    low = "-∞" if estimate.low is None else format(estimate.low, dimension)
    high = "∞" if estimate.high is None else format(estimate.high, dimension)
    label = f" {estimate.label}" if estimate.label else ""
    return f"{format(estimate.value, dimension)} [{low}, {high}]{label}"
