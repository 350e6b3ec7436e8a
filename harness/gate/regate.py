"""Old runs under new rules: the same evidence, other limits. Pure; what is stored stays as it is.

Owns what becomes of a limit on a figure that the run did not measure: NOT_RUN, never green.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.errors import RecordError
from harness.gate.creep import narrowed
from harness.gate.decision import decide_release
from harness.gate.judge import SampleReader, judge
from harness.records.canonical import plan_sha256
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.plan import PlannedCell, SpentBudget
from harness.records.regate import Change, Regated
from harness.records.run import RunRecord
from harness.records.verdict import Judgement, Verdict
from harness.spec.limits import limits_for
from harness.spec.model import Device, Limit, LimitKind, LimitSet
from harness.units import Dimension, format


def regate(run: RunRecord, samples: SampleReader, gates: Sequence[LimitSet], *, path: str) -> Regated:
    """Judge a run by its own limits and by those of a policy.

    Args:
        run: the stored record.
        samples: its raw arrays.
        gates: the policy's limits; they stand in place of those of the run's suites. Profile budgets and what the farm
            states for a device hold as they did.
        path: where the run lies.

    Raises:
        RecordError: the run is a self-test, or `judge` refuses it.
    """
    if run.plan.selftest is not None:
        raise RecordError(f"{path}: is a self-test: it decides no release, under any rules")
    before = judge(run, samples)
    changed = _under(run, gates)
    after = _only_measured(run, judge(changed, samples), changed)
    return Regated(path, run.run_id, before.decision, after, _changes(before.verdicts, after.verdicts))


def _under(run: RunRecord, gates: Sequence[LimitSet]) -> RunRecord:
    devices = {device.name: device for device in run.plan.devices}
    cells = tuple(_cell(cell, devices.get(cell.device), gates) for cell in run.plan.cells)
    plan = replace(run.plan, cells=cells)
    return replace(run, plan=replace(plan, sha256=plan_sha256(plan)))


def _cell(cell: PlannedCell, device: Device | None, gates: Sequence[LimitSet]) -> PlannedCell:
    """Put the policy's limits into a cell, narrowed to what is left of creep budgets as when it was planned."""
    if device is None or cell.skip_reason:
        return cell
    limits = limits_for(gates, cell.suite, device)
    steps = {limit.metric: limit for limit in limits if limit.kind is LimitKind.REGRESS}
    creep = tuple(_rewritten(spent, steps[spent.metric]) for spent in cell.creep if spent.metric in steps)
    spent = {item.metric: item for item in creep}
    left = tuple(
        narrowed(limit, spent[limit.metric]) if limit.kind is LimitKind.REGRESS and limit.metric in spent else limit
        for limit in limits
    )
    return replace(cell, limits=left, creep=creep)


def _rewritten(spent: SpentBudget, step: Limit) -> SpentBudget:
    budget = step.text if step.creep is None else format(step.creep, Dimension.RATIO)
    return replace(spent, asked=step.text, budget=budget)


def _only_measured(run: RunRecord, judgement: Judgement, changed: RunRecord) -> Judgement:
    """Say NOT_RUN where the policy asks for what the run was never asked to measure."""
    asked = {(cell.key, limit.metric, limit.kind.value) for cell in run.plan.cells for limit in cell.limits}
    verdicts = tuple(_not_run(verdict) if _is_unmeasured(verdict, asked) else verdict for verdict in judgement.verdicts)
    return replace(judgement, verdicts=verdicts, decision=decide_release(verdicts, changed.plan))


def _is_unmeasured(verdict: Verdict, asked: set[tuple[str, str, str]]) -> bool:
    has_none = verdict.outcome is Outcome.INCONCLUSIVE and verdict.estimate is None
    is_new = (verdict.cell, verdict.metric, verdict.kind) not in asked
    return has_none and is_new and verdict.limit is not None and verdict.abstained is not Abstention.TIER


def _not_run(verdict: Verdict) -> Verdict:
    reason = f"this run did not measure it: {verdict.reason}"
    return replace(verdict, outcome=Outcome.NOT_RUN, attribution=Attribution.PLAN, reason=reason, abstained=None)


def _changes(before: Sequence[Verdict], after: Sequence[Verdict]) -> tuple[Change, ...]:
    old = {(item.cell, item.metric, item.kind): item for item in before}
    new = {(item.cell, item.metric, item.kind): item for item in after}
    found = (_change(old.get(key), new.get(key)) for key in dict.fromkeys((*old, *new)))
    return tuple(change for change in found if change.before is not change.after)


def _change(old: Verdict | None, new: Verdict | None) -> Change:
    shown = new or old
    assert shown is not None
    return Change(
        shown.cell,
        shown.metric,
        shown.kind,
        old.outcome if old else None,
        new.outcome if new else None,
        old.limit_text if old else "",
        new.limit_text if new else "",
        shown.reason,
    )
