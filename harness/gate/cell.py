"""All verdicts of one cell: the implicit gate "loads and runs", then one verdict per limit.

Owns how incidents and missing evidence become outcomes. Nothing that was not measured is green, and a fault of the
farm or the board is never printed as the model's.
"""

from __future__ import annotations

from dataclasses import replace

from harness.gate.answers import explain_split
from harness.gate.creep import explain_spent
from harness.gate.decide import decide, flip_point, margin
from harness.gate.paired import find_in_pairs
from harness.gate.reason import explain_comparison, explain_figure
from harness.gate.schedule import is_paired
from harness.gate.sensor import with_sensor
from harness.gate.standing import Standing, lost_to, one_line, standing_of, worst_incident
from harness.gate.tier import forbidden
from harness.gate.where import say_where
from harness.records.cell import Role
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.plan import PlannedCell
from harness.records.verdict import Estimate, Verdict
from harness.spec.model import Limit, LimitKind
from harness.stats import Comparison, Evidence, Missing, estimate, loss, worsening
from harness.stats.attribution import loss_split
from harness.stats.evidence import contradiction

PARTIAL = {
    "sensor": ("power.", "energy.", "thermal."),
    "reference": ("accuracy.", "parity.", "llm.kl", "llm.same_top"),
    "controller": ("conformance.",),
    "checker": (),  # what it did not judge is not a number among the scores
}
"""Codes of incidents that take only some figures away: a missing instrument, a reference that could not be computed."""

_MODEL_FAILURES = {
    "load": "the artifact does not load",
    "memory": "the artifact ran out of memory",
    "timeout": "the artifact did not finish in time",
    "illegal_instruction": "the artifact executed an instruction that this CPU refuses",
    "tokens": "the artifact splits the text into other tokens than the reference",
    "fallback": "the runtime did not use the provider that was asked for",
}


def judge_cell(planned: PlannedCell, evidence: Evidence | None, standing: Standing | None) -> tuple[Verdict, ...]:
    """Judge every gate of one planned cell.

    Args:
        planned: the cell with its limits.
        evidence: what was seen; None when no record came back.
        standing: set when something outside the cell speaks for all of its gates (no record, a security incident).

    Returns:
        The verdict of the gate `crash`, then one per limit in plan order.
    """
    alarm = standing is not None and standing.outcome is Outcome.SECURITY
    if planned.skip_reason and not alarm:
        standing = Standing(Outcome.SKIPPED, Attribution.PLAN, planned.skip_reason)
    if standing is None and evidence is None:
        standing = Standing(Outcome.NOT_RUN, Attribution.INFRA, "planned, but no record came back")
    if standing is None and evidence is not None and not evidence.cell.sessions:
        standing = lost_to(evidence.cell.incidents)
    if standing or evidence is None:
        assert standing
        return (_runs(planned, standing), *(_standing_verdict(planned, limit, standing) for limit in planned.limits))
    return (_runs(planned, _run_standing(evidence)), *(check_limit(evidence, limit) for limit in planned.limits))


def check_limit(evidence: Evidence, limit: Limit) -> Verdict:
    """Judge one limit on the evidence of a cell."""
    return with_sensor(evidence, _check_limit(evidence, limit))


def _check_limit(evidence: Evidence, limit: Limit) -> Verdict:
    forbid = forbidden(limit, evidence.device)
    if forbid:
        return _standing_verdict(
            evidence.planned,
            limit,
            Standing(Outcome.INCONCLUSIVE, Attribution.PLAN, f"not decided: {forbid}", Abstention.TIER),
        )
    if evidence.cell.pairing is not None and is_paired(evidence.planned, evidence.device, limit):
        return _check_in_pairs(evidence, limit)
    found = _compare(evidence, limit)
    if isinstance(found, Missing):
        return _standing_verdict(evidence.planned, limit, _explain_missing(evidence, limit, found))
    compared = found.estimate if isinstance(found, Comparison) else found
    outcome = decide(limit, compared)
    distance = margin(limit, compared, outcome)
    if outcome is Outcome.PASS or (outcome is Outcome.INCONCLUSIVE and distance is None):
        # An instrument that failed after some sessions: the gate "runs" passes beside it, so this one must not.
        lost = _lost_evidence(evidence, limit, only_partial=outcome is Outcome.PASS)
        if lost:
            return _standing_verdict(evidence.planned, limit, lost)
    verdict = _measured_verdict(evidence.planned, limit, found, outcome, distance)
    verdict = replace(verdict, where=say_where(evidence, limit.metric, limit.kind))
    if outcome is Outcome.INCONCLUSIVE:
        verdict = replace(verdict, abstained=Abstention.FEW if distance is None else Abstention.NOISE)
    return _with_cause(evidence, verdict)


def _with_cause(evidence: Evidence, verdict: Verdict) -> Verdict:
    """Add what a reader asks next: of a regression what was spent before, of a lost accuracy where it comes from."""
    spent = next((item for item in evidence.planned.creep if item.metric == verdict.metric), None)
    if verdict.kind == LimitKind.REGRESS and spent is not None:
        return replace(verdict, reason=f"{verdict.reason}; {explain_spent(spent)}")
    if verdict.kind != LimitKind.DROP or verdict.outcome is Outcome.PASS:
        return verdict
    split = loss_split(evidence, verdict.metric)
    if split is None or split.total.value <= 0:
        return verdict
    return replace(verdict, reason=f"{verdict.reason}; {explain_split(split)}")


def _check_in_pairs(evidence: Evidence, limit: Limit) -> Verdict:
    """Judge a limit whose figure was measured until it was decided."""
    finding = find_in_pairs(evidence, limit)
    if isinstance(finding, Missing):
        return _standing_verdict(evidence.planned, limit, _explain_missing(evidence, limit, finding))
    if finding.is_cut_short or finding.outcome is Outcome.PASS:
        lost = _lost_evidence(evidence, limit, only_partial=finding.outcome is Outcome.PASS)
        if lost:
            return _standing_verdict(evidence.planned, limit, lost)
    compared = finding.found.estimate if isinstance(finding.found, Comparison) else finding.found
    distance = margin(limit, compared, finding.outcome)
    verdict = _measured_verdict(evidence.planned, limit, finding.found, finding.outcome, distance, finding.words)
    verdict = replace(verdict, flips_at=finding.flips_at, abstained=finding.abstained, trail=finding.trail)
    return _with_cause(evidence, verdict)


def _compare(evidence: Evidence, limit: Limit) -> Estimate | Comparison | Missing:
    if limit.kind is LimitKind.REGRESS:
        return worsening(evidence, limit.metric)
    if limit.kind is LimitKind.DROP:
        return loss(evidence, limit.metric)
    return estimate(evidence, limit.metric)


def _run_standing(evidence: Evidence) -> Standing:
    """Judge "loads and runs": it passes only on sessions that came back, with no incident beside them."""
    sessions = [session for session in evidence.cell.sessions if session.role is Role.CANDIDATE]
    ours = [item for item in evidence.cell.incidents if item.role is Role.CANDIDATE]
    worst = worst_incident([item for item in ours if not (sessions and item.code in PARTIAL)])
    if worst and worst.outcome is Outcome.FAIL:
        what = _MODEL_FAILURES.get(worst.code, "the artifact crashed")
        return Standing(Outcome.FAIL, Attribution.MODEL, f"{what}: {one_line(worst.message)}")
    if worst:
        return standing_of(worst, one_line(worst.message))
    wrong = contradiction(evidence)
    if wrong:
        return Standing(wrong.outcome, wrong.attribution, wrong.reason, wrong.why)
    if not sessions:
        return Standing(Outcome.NOT_RUN, Attribution.INFRA, "no session of the candidate came back")
    return Standing(Outcome.PASS, Attribution.MODEL, f"loaded and ran in {len(sessions)} sessions")


def _explain_missing(evidence: Evidence, limit: Limit, missing: Missing) -> Standing:
    """Turn a missing figure into an outcome: what took it away says more than that it is not there."""
    if missing.outcome is Outcome.INCONCLUSIVE and not missing.reason.startswith("no baseline"):
        lost = _lost_evidence(evidence, limit)
        if lost:
            return lost
    return Standing(missing.outcome, missing.attribution, f"{limit.metric}: {missing.reason}", missing.why)


def _lost_evidence(evidence: Evidence, limit: Limit, *, only_partial: bool = False) -> Standing | None:
    ours = [item for item in evidence.cell.incidents if item.role is Role.CANDIDATE]
    ours = [item for item in ours if item.code in PARTIAL] if only_partial else ours
    incidents = [item for item in ours if limit.metric.startswith(PARTIAL.get(item.code, ("",)))]
    worst = worst_incident(incidents)
    if worst is None:
        return None
    if worst.outcome is Outcome.FAIL:
        what = _MODEL_FAILURES.get(worst.code, "the artifact crashed")
        return Standing(Outcome.NOT_RUN, Attribution.MODEL, f"not measured: {what}")
    return standing_of(worst, f"not measured: {one_line(worst.message)}")


def _runs(planned: PlannedCell, standing: Standing) -> Verdict:
    return Verdict(
        planned.key,
        planned.device,
        planned.artifact,
        "crash",
        "runs",
        standing.outcome,
        standing.attribution,
        standing.reason,
        limit_text="loads and runs",
        abstained=_abstained(standing),
    )


def _standing_verdict(planned: PlannedCell, limit: Limit, standing: Standing) -> Verdict:
    return Verdict(
        planned.key,
        planned.device,
        planned.artifact,
        limit.metric,
        limit.kind.value,
        standing.outcome,
        standing.attribution,
        standing.reason,
        limit.value,
        limit.text,
        str(limit.origin),
        abstained=_abstained(standing),
    )


def _abstained(standing: Standing) -> Abstention | None:
    return standing.why if standing.outcome is Outcome.INCONCLUSIVE else None


def _measured_verdict(
    planned: PlannedCell,
    limit: Limit,
    found: Estimate | Comparison,
    outcome: Outcome,
    distance: float | None,
    words: str = "",
) -> Verdict:
    """Make a verdict with its sentence; `words` say why it is open, or how a failure was confirmed."""
    if isinstance(found, Comparison):
        reason = explain_comparison(limit, found, outcome, words)
        compared, candidate, baseline, source = found.estimate, found.candidate, found.baseline, found.source
    else:
        reason = explain_figure(limit, found, outcome, distance, words)
        compared, candidate, baseline, source = found, found, None, ""
    return Verdict(
        planned.key,
        planned.device,
        planned.artifact,
        limit.metric,
        limit.kind.value,
        outcome,
        Attribution.UNKNOWN if outcome is Outcome.INCONCLUSIVE else Attribution.MODEL,
        reason,
        limit.value,
        limit.text,
        str(limit.origin),
        compared,
        candidate,
        baseline,
        source,
        distance,
        flips_at=flip_point(limit, compared, outcome),
    )
