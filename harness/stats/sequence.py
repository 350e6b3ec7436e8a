"""Intervals that hold at whatever time one looks: for evaluations that go on until they are decided.

An interval of the fixed kind, looked at again and again until it clears a limit, is wrong far more often than it says.
These are wider and may be looked at after every window. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.stats.interval import CONFIDENCE, Interval
from harness.stats.over_limit import Count, log_e_value
from harness.stats.quantile import FloatArray, check_samples
from harness.stats.trial import ALPHA

MIXED = 4.0
"""Variance of the effects that the mixture is made of, in variances of one sample."""
FEWEST = 6
"""Means of fewer windows are not near enough to normal."""
_STEPS = 40


def mean_sequence(samples: FloatArray) -> Interval:
    """Bound the mean of near-normal figures at any time; each end is wrong in at most 5 % of whole sequences.

    Args:
        samples: shape (n,), finite, in the order in which they came.

    Source: Lai (1976), the scale-invariant t mixture: log e = -ln(1 + ng) / 2 + n/2 (ln(1 + r) - ln(1 + r / (1 + ng)))
    with r = t² / (n - 1), here solved for r at e = 1 / (1 - confidence).
    """
    check_samples(samples)
    n = samples.size
    if n < FEWEST:
        return Interval(-math.inf, math.inf, 1.0)
    grown = 1.0 + n * MIXED
    ratio = math.exp(2.0 / n * (-math.log(1.0 - CONFIDENCE) + 0.5 * math.log(grown)))
    if ratio >= grown:
        return Interval(-math.inf, math.inf, 1.0)
    t = math.sqrt((ratio - 1.0) / (1.0 - ratio / grown) * (n - 1))
    middle, half = float(np.mean(samples)), t * float(np.std(samples, ddof=1)) / math.sqrt(n)
    return Interval(middle - half, middle + half, CONFIDENCE)


def rate_sequence(total: float, n: int) -> Interval:
    """Bound a rate, or the mean of scores from 0 to 1, at any time; each end is wrong in at most 5 % of sequences.

    Args:
        total: sum of the scores; of a rate, how many there are.
        n: how many were seen, at least 1.

    Source: the beta-mixture e-process of `harness.stats.over_limit`. Of scores it is valid too: the likelihood ratio of
    two rates is exp(a x + b), and no variable in [0, 1] of this mean has a larger expectation of it than a binary one.
    """
    if n < 1 or not 0 <= total <= n:
        raise ValueError(f"{total} of {n} is no rate")
    count, enough = Count(total, n), -math.log(ALPHA)
    rate = min(max(total / n, 0.0), 1.0)
    low = _edge(0.0, rate, lambda p: log_e_value(count, p, lower=False) >= enough) if total > 0 else 0.0
    high = (
        1.0 - _edge(0.0, 1.0 - rate, lambda p: log_e_value(count, 1.0 - p, lower=True) >= enough) if total < n else 1.0
    )
    return Interval(low, high, CONFIDENCE)


def _edge(outside: float, inside: float, is_refuted: Callable[[float], bool]) -> float:
    """Find by halves where rates cease to be refuted on the way from `outside` to `inside`."""
    for _ in range(_STEPS):
        middle = 0.5 * (outside + inside)
        if 0.0 < middle < 1.0 and is_refuted(middle):
            outside = middle
        else:
            inside = middle
    return outside
