"""Intervals: of a median over sessions, of near-deterministic figures, of rates, and of a paired loss.

A limit looks at one end of an interval. So the working confidence is 90 % two-sided: each end is wrong in at most 5 %.
Knows numbers only; what they mean is `harness.stats.estimate`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.quantile import FloatArray, check_samples

CONFIDENCE = 0.90


@dataclass(frozen=True, slots=True)
class Interval:
    """Two ends in the unit of the figure; infinite where the evidence does not bound it."""

    low: float
    high: float
    coverage: float
    """Smallest two-sided coverage that the method guarantees with these samples."""


@dataclass(frozen=True, slots=True)
class PairedTable:
    """Two classifiers on the same samples: `lost` reference right and candidate wrong, `won` the reverse."""

    lost: int
    won: int
    n: int

    @property
    def loss(self) -> float:
        """Drop of the accuracy as a ratio; positive when the candidate is worse."""
        return (self.lost - self.won) / self.n


def quantile_interval(samples: FloatArray, q: float, *, confidence: float = CONFIDENCE) -> Interval:
    """Bound the q-quantile without assuming the shape of the distribution.

    Args:
        samples: shape (n,), finite, any order; one value per independent session.
        q: quantile in (0, 1).
        confidence: two-sided coverage in (0, 1); each end is wrong with at most half of the rest.

    Returns:
        Interval in the unit of the samples; an end is infinite when n is too small to bound it.

    Raises:
        ValueError: samples is empty or not finite, or q or confidence is outside (0, 1).

    Source: David & Nagaraja, Order Statistics (3rd ed.), ch. 7.
    """
    check_samples(samples)
    _check_share(q, "q")
    tail = _tail(confidence)
    n = samples.size
    ordered = np.sort(samples)
    cumulated = special.bdtr(np.arange(n, dtype=np.float64), n, q)
    below = int(np.searchsorted(cumulated, tail * (1 + 1e-12), side="right"))
    above = _upper_rank(cumulated, tail)
    miss_low = float(cumulated[below - 1]) if below else 0.0
    miss_high = float(1.0 - cumulated[above - 1]) if above <= n else 0.0
    low = float(ordered[below - 1]) if below else -math.inf
    high = float(ordered[above - 1]) if above <= n else math.inf
    return Interval(low, high, 1.0 - miss_low - miss_high)


def median_interval(samples: FloatArray, *, confidence: float = CONFIDENCE) -> Interval:
    """Bound the median over sessions: with 6 sessions all of them (96.9 %), with fewer than 5 nothing."""
    return quantile_interval(samples, 0.5, confidence=confidence)


def student_interval(samples: FloatArray, *, confidence: float = CONFIDENCE, quantum: float = 0.0) -> Interval:
    """Bound the mean of near-normal figures; for memory, virtual time and integrated energy, where two sessions agree.

    Args:
        samples: shape (n,), finite; one value per session.
        confidence: two-sided coverage in (0, 1).
        quantum: smallest step of the instrument (4096 for resident bytes); two equal readings prove no more than it.

    Returns:
        Interval in the unit of the samples, at least one quantum to each side; infinite when n < 2.

    Raises:
        ValueError: samples is empty or not finite, or confidence is outside (0, 1).

    Source: Student (1908); the quantum floor is ours.
    """
    check_samples(samples)
    tail = _tail(confidence)
    n = samples.size
    if n < 2:
        return Interval(-math.inf, math.inf, 1.0)
    half = float(special.stdtrit(n - 1, 1.0 - tail)) * float(np.std(samples, ddof=1)) / math.sqrt(n)
    half = max(half, quantum)
    middle = float(np.mean(samples))
    return Interval(middle - half, middle + half, confidence)


def wilson_interval(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Bound a rate.

    Raises:
        ValueError: n < 1, successes outside 0..n, or confidence outside (0, 1).

    Source: Wilson (1927), score interval without continuity correction.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no rate")
    z = _normal_end(confidence)
    rate, squared = successes / n, z * z
    centre = (rate + squared / (2 * n)) / (1 + squared / n)
    half = z / (1 + squared / n) * math.sqrt(rate * (1 - rate) / n + squared / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, high, confidence)


def paired_loss_interval(table: PairedTable, *, confidence: float = CONFIDENCE) -> Interval:
    """Bound the drop of accuracy between two classifiers that saw the same samples.

    The ends are where the score statistic of "the true loss is d" reaches the normal quantile, with the nuisance
    probability at its constrained maximum of likelihood.

    Raises:
        ValueError: counts that no table has, or confidence outside (0, 1).

    Source: Tango (1998), Statistics in Medicine 17, 891-908.
    """
    if table.n < 1 or min(table.lost, table.won) < 0 or table.lost + table.won > table.n:
        raise ValueError(f"{table} is no paired table")
    z = _normal_end(confidence)

    def excess(loss: float, sign: float) -> float:
        return _tango_score(table, loss) + sign * z

    from scipy import optimize  # takes longer to import than a plan takes to make

    edge = 1.0 - 1e-12
    low = -1.0 if excess(-edge, -1.0) < 0 else float(optimize.brentq(excess, -edge, edge, args=(-1.0,), xtol=1e-12))
    high = 1.0 if excess(edge, 1.0) > 0 else float(optimize.brentq(excess, -edge, edge, args=(1.0,), xtol=1e-12))
    return Interval(low, high, confidence)


def _tango_score(table: PairedTable, loss: float) -> float:
    n, lost, won = table.n, table.lost, table.won
    b = -lost - won + (2 * n - lost + won) * loss
    c = -won * loss * (1 - loss)
    nuisance = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * nuisance + loss * (1 - loss))
    distance = lost - won - n * loss
    if variance <= 0.0:
        return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _upper_rank(cumulated: FloatArray, tail: float) -> int:
    """Return the smallest rank u with P(fewer than u samples lie below the quantile) >= 1 - tail, or n + 1."""
    enough = np.flatnonzero(1.0 - cumulated <= tail * (1 + 1e-12))
    return int(enough[0]) + 1 if enough.size else cumulated.size + 1


def _check_share(share: float, name: str) -> None:
    if not 0.0 < share < 1.0:
        raise ValueError(f"{name} must be inside (0, 1), not {share}")


def _tail(confidence: float) -> float:
    _check_share(confidence, "confidence")
    return (1.0 - confidence) / 2.0


def _normal_end(confidence: float) -> float:
    return float(special.ndtri(1.0 - _tail(confidence)))
