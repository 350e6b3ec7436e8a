"""The candidate against something: its baseline (relative worsening) or its reference (absolute loss).

Positive always means worse. A baseline file is measured in the same run, in pairs; a committed figure serves only for
what does not move with the day. Knows no limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.records.cell import Role, SessionRecord
from harness.records.outcome import Abstention, Outcome
from harness.records.plan import RecordedFigure
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS
from harness.stats.accuracy import (
    DEPTHS,
    BoolArray,
    hits,
    loss_estimate,
    paired_table,
    rate_estimate,
    reference_hits,
    relative_loss_estimate,
    unpack_hits,
)
from harness.stats.estimate import PAGE_BYTES, bounded, estimate, figure_label, interval_over_sessions
from harness.stats.evidence import Evidence, Missing, valid_pairs
from harness.stats.figure import KINDS, session_figure, session_kind
from harness.stats.likelihood import SURPRISES, reference_surprise, surprise_change
from harness.stats.questions import ANSWERED, answered_loss
from harness.stats.sustained import SUSTAINED, sustained_change
from harness.stats.work import basis_of, is_counted, work_change

MEASURED = "measured in this run"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much worse the candidate is: `estimate` is a ratio, the arms are in SI."""

    estimate: Estimate
    candidate: Estimate
    baseline: Estimate
    source: str
    """`measured in this run`, `reference`, or where the committed figure stands."""
    basis: str = ""
    """Of two counts: how far apart they may lie on one code path (`harness.stats.work`); empty: no counts."""


def worsening(evidence: Evidence, metric: str) -> Comparison | Missing:
    """Compare the candidate with its baseline: 0.05 means 5 % worse, whichever direction is better.

    Returns:
        The comparison, or why there is none: without a baseline that is INCONCLUSIVE, never a pass.
    """
    candidate = estimate(evidence, metric)
    if isinstance(candidate, Missing):
        return candidate
    if evidence.planned.baseline is None:
        return _against_recorded(evidence, metric, candidate)
    baseline = estimate(evidence, metric, Role.BASELINE)
    if isinstance(baseline, Missing):
        if baseline.outcome is Outcome.INFRA:
            return replace(baseline, reason=f"baseline: {baseline.reason}")
        return Missing(f"no baseline: {baseline_failure(evidence) or baseline.reason}", why=Abstention.BASELINE)
    if is_counted(evidence, metric):
        pairs = valid_pairs(evidence, session_kind(evidence, metric))
        basis = basis_of(metric, is_same_snapshot=True, is_same_run=True)
        counted = _counted(candidate, baseline, MEASURED, basis)
        return pairs if isinstance(pairs, Missing) else counted
    ratio = _ratio(evidence, metric, candidate, baseline)
    return ratio if isinstance(ratio, Missing) else Comparison(ratio, candidate, baseline, MEASURED)


def loss(evidence: Evidence, metric: str) -> Comparison | Missing:
    """Compare the candidate's right answers with the reference's on the same samples; 0.005 means half a point lost.

    Of a language model it is how much less it expects the text: 0.02 means a perplexity 2 % higher.
    """
    if metric in SURPRISES:
        return _text_loss(evidence, metric)
    if metric in ANSWERED:
        found = answered_loss(evidence, metric)
        return found if isinstance(found, Missing) else Comparison(*found, "reference")
    candidate, reference = hits(evidence, Role.CANDIDATE, metric), reference_hits(evidence, metric)
    whole = estimate(evidence, metric)
    if isinstance(whole, Missing):
        return whole
    if isinstance(candidate, Missing) or isinstance(reference, Missing):
        return candidate if isinstance(candidate, Missing) else reference  # type: ignore[return-value]
    lost = loss_estimate(paired_table(reference, candidate))
    return Comparison(lost, whole, rate_estimate(reference), "reference")


def _text_loss(evidence: Evidence, metric: str) -> Comparison | Missing:
    change, whole = surprise_change(evidence, metric, None), estimate(evidence, metric)
    reference = reference_surprise(evidence, metric)
    for found in (whole, change, reference):
        if isinstance(found, Missing):
            return found
    assert isinstance(change, Estimate)
    assert isinstance(whole, Estimate)
    assert isinstance(reference, Estimate)
    return Comparison(change, whole, reference, "reference")


def _ratio(evidence: Evidence, metric: str, candidate: Estimate, baseline: Estimate) -> Estimate | Missing:
    if metric in KINDS:
        return _paired_ratio(evidence, metric)
    if metric in DEPTHS:
        return _accuracy_ratio(evidence, metric)
    if metric in SURPRISES:
        return surprise_change(evidence, metric, Role.BASELINE)
    if metric in SUSTAINED:
        return sustained_change(evidence, metric)
    return _exact_ratio(metric, candidate, baseline.value)


def _paired_ratio(evidence: Evidence, metric: str) -> Estimate | Missing:
    pairs = valid_pairs(evidence, session_kind(evidence, metric))
    if isinstance(pairs, Missing):
        return pairs
    ours = _figures(evidence, metric, [pair[0] for pair in pairs])
    theirs = _figures(evidence, metric, [pair[1] for pair in pairs])
    if isinstance(ours, Missing) or isinstance(theirs, Missing):
        return ours if isinstance(ours, Missing) else theirs  # type: ignore[return-value]
    if min(*ours, *theirs) <= 0:
        return Missing("a figure of 0 has no ratio: use an absolute limit")
    worse = np.asarray([_worse(metric, a, b) for a, b in zip(ours, theirs, strict=True)])
    quantum = PAGE_BYTES / min(theirs) if metric.startswith("memory.") else 0.0
    bounds, method = interval_over_sessions(evidence, metric, worse, quantum=quantum)
    label = figure_label(evidence, metric)
    method = f"ratio of pairs: {method}"
    return Estimate(float(np.median(worse)), bounded(bounds.low), bounded(bounds.high), len(pairs), method, label)


def _figures(evidence: Evidence, metric: str, sessions: list[SessionRecord]) -> list[float] | Missing:
    figures: list[float] = []
    for session in sessions:
        figure = session_figure(evidence, session, metric)
        if isinstance(figure, Missing):
            return figure
        figures.append(figure)
    return figures


def _accuracy_ratio(evidence: Evidence, metric: str) -> Estimate | Missing:
    ours, theirs = hits(evidence, Role.CANDIDATE, metric), hits(evidence, Role.BASELINE, metric)
    if isinstance(ours, Missing) or isinstance(theirs, Missing):
        return ours if isinstance(ours, Missing) else theirs  # type: ignore[return-value]
    return _paired_loss(theirs, ours)


def _paired_loss(theirs: BoolArray, ours: BoolArray) -> Estimate | Missing:
    if not theirs.any():
        return Missing("the baseline answers nothing right: a relative limit has no meaning, use `min` or `drop`")
    return relative_loss_estimate(paired_table(theirs, ours), int(theirs.sum()))


def _exact_ratio(metric: str, candidate: Estimate, reference: float) -> Estimate | Missing:
    """Compare two exact facts (bytes, parity on the same samples): no interval is left."""
    if candidate.value == reference:
        worse = 0.0
    elif min(candidate.value, reference) <= 0:
        return Missing(f"the baseline is {reference:g}: a relative limit has no meaning, use an absolute one")
    else:
        worse = _worse(metric, candidate.value, reference)
    return Estimate(worse, worse, worse, candidate.n, "exact difference on the same samples and bytes")


def _against_recorded(evidence: Evidence, metric: str, candidate: Estimate) -> Comparison | Missing:
    recorded = next((item for item in evidence.planned.recorded if item.metric == metric), None)
    if METRICS[metric].moves_with_day:
        return Missing(
            "no baseline: the suite names no baseline file, and this figure moves with the day", why=Abstention.BASELINE
        )
    if recorded is None:
        return Missing(
            "no baseline: the suite names no baseline file and no committed figure applies", why=Abstention.BASELINE
        )
    baseline = Estimate(recorded.value, recorded.low, recorded.high, 1, "committed figure")
    if is_counted(evidence, metric) and recorded.value > 0:
        is_same = bool(recorded.snapshot) and recorded.snapshot == evidence.snapshot
        is_equal = recorded.value == candidate.value
        basis = basis_of(metric, is_same_snapshot=is_same, is_same_run=is_equal)  # equal to the digit: as in one run
        return _counted(candidate, baseline, recorded.source, basis)
    if metric in DEPTHS:
        found = _recorded_loss(evidence, candidate, recorded)
    elif metric in KINDS:
        found = _recorded_ratio(metric, candidate, recorded)
    else:
        found = _exact_ratio(metric, candidate, recorded.value)
    return found if isinstance(found, Missing) else Comparison(found, candidate, baseline, recorded.source)


def _recorded_loss(evidence: Evidence, candidate: Estimate, recorded: RecordedFigure) -> Estimate | Missing:
    """Pair the committed answers with the candidate's by sample; older records hold only how many were right."""
    ours = hits(evidence, Role.CANDIDATE, recorded.metric)
    if isinstance(ours, Missing):
        return ours
    theirs = unpack_hits(recorded.hits, ours.size) if recorded.hits else None
    return _recorded_ratio(recorded.metric, candidate, recorded) if theirs is None else _paired_loss(theirs, ours)


def _counted(candidate: Estimate, baseline: Estimate, source: str, basis: str) -> Comparison:
    return Comparison(work_change(candidate, baseline, basis), candidate, baseline, source, basis)


def _recorded_ratio(metric: str, candidate: Estimate, recorded: RecordedFigure) -> Estimate | Missing:
    if min(candidate.value, recorded.low) <= 0:
        return Missing("a figure of 0 has no ratio: use an absolute limit")
    ends = [
        None if end is None else _worse(metric, end, other)
        for end, other in ((candidate.low, recorded.high), (candidate.high, recorded.low))
    ]
    low, high = ends if METRICS[metric].lower_is_better else reversed(ends)
    worse = _worse(metric, candidate.value, recorded.value)
    return Estimate(worse, low, high, candidate.n, f"against the committed figure; {candidate.method}", candidate.label)


def _worse(metric: str, candidate: float, baseline: float) -> float:
    return candidate / baseline - 1.0 if METRICS[metric].lower_is_better else baseline / candidate - 1.0


def baseline_failure(evidence: Evidence) -> str:
    """Say why the baseline could not be measured; empty when nothing is known against it."""
    found = (item.message for item in evidence.cell.incidents if item.role is Role.BASELINE)
    return next(found, "")
