"""Counted work on a deterministic board: repeated, compared and exact, with no statistics.

A count is what the code path takes. What disturbs it from outside only adds to it: an interrupt between a
load-exclusive and its store costs a retry, the kernel setting the clock while the runtime reads it costs some
instructions. So of the counts of one repeat in several sessions the least is the work, and it must come back: a board
that does not repeat it is broken, not noisy. What runs once per session (loading, first inference) has no other repeats
to tell a disturbance by and keeps a tolerance.

Knows sessions, not limits; how the figures of other metrics are bounded is `harness.stats.estimate`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.records.cell import Role, SessionKind, SessionRecord
from harness.records.outcome import Attribution, Outcome
from harness.records.verdict import Estimate
from harness.spec.model import Tier
from harness.stats.evidence import Evidence, Missing, finite, implausible, valid_sessions
from harness.stats.figure import ONCE, session_figure
from harness.stats.quantile import FloatArray, order_quantile
from harness.stats.writing import TOKEN_WORK, token_counts

WORK = frozenset({"work.instructions", *ONCE, *TOKEN_WORK})
TOLERANCE = 1e-3
"""How far counts of one code path lie apart in another machine state: other heap, other page cache (measured: 0.02 to
0.12 % between boots without any care, see docs/decisions)."""

SAME = "same snapshot: equal to the last digit expected"
BEFORE = "same snapshot, other sessions before it: 0.01 %"
"""Another plan's run: sessions start from a heap that those before have moved (measured: 2 to 12 millionths)."""
OTHER = "another snapshot (or host): 0.1 %"
RUNS_ONCE = "runs once per session: 0.1 %"
_TOLERANCES = {SAME: 0.0, BEFORE: 1e-4, OTHER: TOLERANCE, RUNS_ONCE: TOLERANCE}
"""Each basis of a comparison: how far apart two counts of one code path may lie."""


def is_counted(evidence: Evidence, metric: str) -> bool:
    """Tell whether this metric is an exact count on this board; elsewhere counts scatter."""
    return metric in WORK and evidence.planned.tier is Tier.DETERMINISTIC


def work_estimate(evidence: Evidence, metric: str, role: Role) -> Estimate | Missing:
    """Give the count of one arm, if the board repeated it.

    Returns:
        An estimate without an interval for `work.instructions`, with one of ±0.1 % for what runs once per session;
        INFRA when the sessions do not agree.
    """
    sessions = valid_sessions(evidence, role, SessionKind.TIMING)
    if isinstance(sessions, Missing):
        return sessions
    figures: list[float] = []
    for session in sessions:
        figure = session_figure(evidence, session, metric)
        if isinstance(figure, Missing):
            return figure
        figures.append(figure)
    if len(figures) < 2:
        return Missing("one session cannot show that the count repeats: at least 2 needed")
    if metric in ONCE:
        return single_count(figures)
    return repeated_count([_counts(evidence, session, metric) for session in sessions])


def basis_of(metric: str, *, is_same_snapshot: bool, is_same_run: bool) -> str:
    """Say how far apart two counts of one code path may lie: counted side by side, from one snapshot, or from two."""
    if not is_same_snapshot:
        return OTHER
    if metric in ONCE:
        return RUNS_ONCE
    return SAME if is_same_run else BEFORE


def work_change(candidate: Estimate, baseline: Estimate, basis: str) -> Estimate:
    """Compare two counts; 0.01 means 1 % more work than the baseline.

    Args:
        candidate: what `work_estimate` gave.
        baseline: a measured or a committed count, not 0.
        basis: `SAME`, where the change is exact, or another one, where it has that one's tolerance to both sides.
    """
    change = candidate.value / baseline.value - 1.0
    half = _TOLERANCES[basis]
    return Estimate(change, change - half, change + half, candidate.n, f"counts compared; {basis}")


def single_count(counts: Sequence[float]) -> Estimate | Missing:
    """Give the count of what runs once per session.

    Args:
        counts: one per session, not empty, positive.
    """
    least = min(counts)
    if max(counts) - least > TOLERANCE * least:
        return _broken(counts, " (runs once per session: 0.1 % is allowed)")
    low, high = least * (1.0 - TOLERANCE), least * (1.0 + TOLERANCE)
    return Estimate(least, low, high, len(counts), f"least count of {len(counts)} sessions, {RUNS_ONCE}")


def repeated_count(counts: Sequence[FloatArray]) -> Estimate | Missing:
    """Give the count of an inference, if its sessions repeated it.

    Args:
        counts: one array per session, shape (repeats,), positive; at least two sessions.
    """
    if len({item.size for item in counts}) > 1:
        return implausible(f"the sessions brought {' and '.join(str(item.size) for item in counts)} counts")
    table = np.stack(counts)
    least = table.min(axis=0)
    came_back = (table == least).sum(axis=0) >= 2
    if 2 * int(came_back.sum()) <= least.size:
        medians = [order_quantile(item, 0.5) for item in counts]
        return _broken(medians, f" (medians; {came_back.sum()} of {least.size} repeats came back)")
    value = order_quantile(least, 0.5)
    return Estimate(value, value, value, len(counts), f"exact count, repeated in {len(counts)} sessions")


def _counts(evidence: Evidence, session: SessionRecord, metric: str) -> FloatArray:
    if metric in TOKEN_WORK:
        found = token_counts(evidence, session, metric)
    else:
        found = finite(evidence.array(session, "instructions"), "instruction counts")
    assert not isinstance(found, Missing)  # its figure was computed from it
    return found


def _broken(counts: Sequence[float], detail: str) -> Missing:
    words = " and ".join(f"{count:,.0f}" for count in counts)
    return Missing(f"the board did not repeat its count: {words}{detail}", Outcome.INFRA, Attribution.INFRA)
