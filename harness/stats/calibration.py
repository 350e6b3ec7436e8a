"""What pairs of a file with itself tell of a board: its noise, its tails, and what a gate on it will cost and can see.

Owns the choice of the test by the shape of the noise. Knows log-ratios and counts of answers; measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.records.plan import CalibratedNoise
from harness.stats.observation import NOISE_FLOOR
from harness.stats.outlook import POWER, Outlook, outlook
from harness.stats.proportion import exact_upper_bound
from harness.stats.quantile import FloatArray
from harness.stats.sign_flip import FLIP_LOOKS, is_extreme
from harness.stats.trial import ALPHA, CAP

LEAST_PAIRS = 12
"""With fewer the standard deviation is known worse than to 20 %."""
LEAST_SHAPED = 20
"""With fewer no test tells tails from a normal distribution's."""
NOT_NORMAL_P = 0.01
MAD_TO_SD = 1.4826
FLIP_PATHS = 200
"""Resampled cells per effect: the exact test lists up to 4096 patterns for each."""
FLIP_STEPS = 5
FLIP_REACH = 8.0
"""Standard deviations beyond the margin within which the detectable effect is sought."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How the A/A gates of one metric ended."""

    gates: int = 0
    alarms: int = 0
    undecided: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """How the log-ratios of pairs are distributed."""

    kurtosis: float
    """Excess over a normal distribution's."""
    normal_p: float
    """Of "they are normal"."""
    is_heavy: bool
    """Outliers beyond a normal distribution: the t test errs less than stated, and finds less."""


def shape_of(ratios: FloatArray) -> Shape:
    """Tell whether log-ratios have heavier tails than a normal distribution; constant or few ones count as normal.

    Args:
        ratios: shape (n,), n >= 4.

    Source: Shapiro and Wilk (1965).
    """
    from scipy import stats

    if float(np.ptp(ratios)) == 0.0:
        return Shape(0.0, 1.0, is_heavy=False)
    kurtosis, normal_p = float(stats.kurtosis(ratios, bias=False)), float(stats.shapiro(ratios).pvalue)
    return Shape(kurtosis, normal_p, ratios.size >= LEAST_SHAPED and kurtosis > 0 and normal_p < NOT_NORMAL_P)


def describe_noise(metric: str, ratios: Sequence[float], margin: float, tally: Tally) -> CalibratedNoise:
    """Describe a metric's noise.

    Args:
        metric: its name.
        ratios: log-ratio of each sound pair, at least LEAST_PAIRS, in order.
        margin: of the A/A gates (ratio).
        tally: how those ended.

    Raises:
        ValueError: there are too few ratios, or one is not finite.
    """
    values = np.asarray(ratios, dtype=np.float64)
    if values.size < LEAST_PAIRS or not np.isfinite(values).all():
        raise ValueError(f"{metric}: {values.size} pairs do not calibrate: give {LEAST_PAIRS} finite ones")
    shape, sd = shape_of(values), float(values.std(ddof=1))
    spread = spread_of(values)
    view = flip_outlook(values, margin) if shape.is_heavy else outlook(sd, margin)
    return CalibratedNoise(
        metric=metric,
        pairs=int(values.size),
        sd=sd,
        spread=spread,
        kurtosis=shape.kurtosis,
        normal_p=shape.normal_p,
        is_heavy=shape.is_heavy,
        margin=margin,
        gates=tally.gates,
        alarms=tally.alarms,
        undecided=tally.undecided,
        alarm_bound=exact_upper_bound(tally.alarms, tally.gates),
        expected_pairs=view.pairs,
        undecided_chance=view.undecided,
        detectable=view.detectable if math.isfinite(view.detectable) else None,
    )


def spread_of(ratios: FloatArray) -> float:
    """Return the standard deviation that the middle half of log-ratios would have in a normal distribution."""
    return MAD_TO_SD * float(np.median(np.abs(ratios - np.median(ratios))))


def flip_outlook(ratios: FloatArray, margin: float) -> Outlook:
    """Foresee a gate that sign flips decide, on a board that goes on to scatter as it did.

    Args:
        ratios: shape (n,), log-ratios of equal arms.
        margin: allowed worsening as a ratio.
    """
    rng = np.random.default_rng(5)
    picked = rng.choice(ratios - ratios.mean(), (FLIP_PATHS, CAP))
    paths = picked * rng.choice((-1.0, 1.0), picked.shape)
    limit, sd, floor = math.log1p(margin), float(ratios.std(ddof=1)), NOISE_FLOOR * spread_of(ratios)
    ends = [_flip_walk(path - limit, floor) for path in paths]

    def found(effect: float) -> float:
        return float(np.mean([_flip_walk(path + effect - limit, floor)[0] == 1 for path in paths]))

    low, high = limit, limit + FLIP_REACH * sd
    if found(high) < POWER:
        high = math.inf
    for _ in range(FLIP_STEPS if math.isfinite(high) else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= POWER else (middle, high)
    undecided = float(np.mean([answer == 0 for answer, _ in ends]))
    return Outlook(float(np.mean([used for _, used in ends])), undecided, math.expm1(high))


def _flip_walk(distances: FloatArray, floor: float) -> tuple[int, int]:
    """Return 1 for beyond, -1 for within, 0 for open, and the observations used."""
    for n in FLIP_LOOKS:
        seen = distances[:n]
        if is_extreme(seen, ALPHA, floor):
            return 1, n
        if is_extreme(-seen, ALPHA, floor):
            return -1, n
    return 0, CAP
