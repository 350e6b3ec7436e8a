"""One limit and one estimate make one of three answers; the comparison is always written "pass iff"."""

from __future__ import annotations

import math

from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.spec.model import Limit, LimitKind


def ends(estimate: Estimate) -> tuple[float, float]:
    """Return the interval with its missing ends at infinity."""
    low = -math.inf if estimate.low is None else estimate.low
    high = math.inf if estimate.high is None else estimate.high
    return low, high


def is_exact(estimate: Estimate) -> bool:
    """Tell whether the figure is a fact without an interval; an interval that is open at both ends is not."""
    return estimate.low is not None and estimate.low == estimate.high


def decide(limit: Limit, estimate: Estimate) -> Outcome:
    """Compare the whole interval with the limit.

    Returns:
        PASS iff every figure of the interval is allowed; FAIL (REGRESSION against a baseline) iff none is; else the
        limit lies inside the interval and the answer is INCONCLUSIVE. A figure that is not finite, or an interval
        that does not hold its own figure, is INCONCLUSIVE as well.
    """
    low, high = ends(estimate)
    if not (math.isfinite(limit.value) and math.isfinite(estimate.value) and low <= estimate.value <= high):
        return Outcome.INCONCLUSIVE
    is_floor = limit.kind is LimitKind.MIN
    if (low >= limit.value) if is_floor else (high <= limit.value):
        return Outcome.PASS
    if (high < limit.value) if is_floor else (low > limit.value):
        return Outcome.REGRESSION if limit.kind is LimitKind.REGRESS else Outcome.FAIL
    return Outcome.INCONCLUSIVE


def margin(limit: Limit, estimate: Estimate, outcome: Outcome) -> float | None:
    """Return the relative distance of the deciding end to the limit; negative: over it, None: unbounded.

    The deciding end is the worse one, except for a failure, which even the better end proves. A limit of 0 is its own
    unit: the distance is then absolute.
    """
    low, high = ends(estimate)
    sign = -1.0 if limit.kind is LimitKind.MIN else 1.0
    worse, better = (low, high) if limit.kind is LimitKind.MIN else (high, low)
    end = better if outcome in {Outcome.FAIL, Outcome.REGRESSION} else worse
    if not math.isfinite(end):
        return None
    return sign * (limit.value - end) / (abs(limit.value) or 1.0)


def flip_point(limit: Limit, estimate: Estimate, outcome: Outcome) -> float | None:
    """Return the limit at which the outcome would be another one: a laxer one for a failure, else a stricter one.

    For an open gate it is the limit from which on it would pass. None: no limit would change it.
    """
    low, high = ends(estimate)
    worse, better = (low, high) if limit.kind is LimitKind.MIN else (high, low)
    end = better if outcome in {Outcome.FAIL, Outcome.REGRESSION} else worse
    return end if math.isfinite(end) else None
