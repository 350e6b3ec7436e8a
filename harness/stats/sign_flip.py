"""The sequential sign-flip test: exact whatever the distribution, looks at 5, 6, 8, 10 and 12 observations.

If the effect is just the margin, the coin for the order of each pair makes both signs of its distance to the margin
equally likely. All 2^n patterns of signs are listed; the most extreme ones, as many as the error spent so far allows,
end the test. Knows log-ratios; of what is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from harness.stats.quantile import FloatArray
from harness.stats.trial import ALPHA, CAP, Answer, Look, Test, Trial, check_values

FLIP_LOOKS = (5, 6, 8, 10, 12)
SPENT = {ALPHA: (0.03125, 0.0375, 0.043, 0.047, 0.05)}
"""alpha -> error spent up to each look. Five signs show 1/32 at least; other alphas spend in proportion."""
BISECTIONS = 30


def sign_flip(
    values: Sequence[float] | FloatArray, margin: float, *, alpha: float = ALPHA, floor: float = 0.0
) -> Trial:
    """Test by exact sign flips whether observations lie beyond a margin.

    Args:
        values: log-ratios in the order in which they were observed, finite; those after the answer are not used.
        margin: in the same unit.
        alpha: probability of a wrong BEYOND over all looks; that of a wrong WITHIN is 5 %.
        floor: distances to the margin that are shorter count as none.

    Raises:
        ValueError: a value is not finite.

    Source: Fisher (1935), the randomisation test; spent look by look over nested sets of patterns.
    """
    array = check_values(values)
    looks: list[Look] = []
    for n in (look for look in FLIP_LOOKS if look <= array.size):
        seen = array[:n]
        beyond = is_extreme(seen - margin, alpha, floor)
        within = not beyond and is_extreme(margin - seen, ALPHA, floor)
        low, high = flip_ends(seen, alpha=alpha, floor=floor)
        looks.append(Look(n, _beside(low, margin, is_past=beyond), -_beside(-high, -margin, is_past=within)))
        if beyond:
            return Trial(Test.FLIP, alpha, Answer.BEYOND, n, tuple(looks), alpha)
        if within:
            return Trial(Test.FLIP, alpha, Answer.WITHIN, n, tuple(looks))
    return Trial(Test.FLIP, alpha, Answer.OPEN, min(array.size, CAP), tuple(looks))


def is_extreme(distances: FloatArray, alpha: float, floor: float = 0.0) -> bool:
    """Tell whether the signs of distances are among the most positive patterns of one of the looks so far.

    Args:
        distances: shape (n,), from the margin, n at most CAP.
        alpha: error over all looks.
        floor: shorter distances count as none.
    """
    sizes = np.where(np.abs(distances) < floor, 0.0, np.abs(distances))
    stopped, seen = np.zeros(1, dtype=np.bool_), 0
    for n, spent in zip(FLIP_LOOKS, spending(alpha), strict=True):
        if n > distances.size:
            break
        stopped = np.tile(stopped, 2 ** (n - seen))
        seen = n
        sums = _signs(n) @ sizes[:n]
        left = np.sort(sums[~stopped])[::-1]
        room = math.floor(spent * 2**n + 1e-9) - int(stopped.sum())
        if room > 0:
            # A pattern that ties with the first one for which there is no room has none either.
            first_left_out = float(left[room]) if room < left.size else -math.inf
            stopped = stopped | (sums > first_left_out + 1e-12 * float(sizes.sum()))
    return bool(seen and stopped[sum(1 << index for index in range(seen) if distances[index] > 0)])


def spending(alpha: float) -> tuple[float, ...]:
    """Return the error spent up to each look."""
    return SPENT.get(alpha) or tuple(alpha * n / CAP for n in FLIP_LOOKS)


def flip_ends(values: FloatArray, *, alpha: float = ALPHA, floor: float = 0.0) -> tuple[float, float]:
    """Return the margins that the signs leave undecided, infinite where no margin would be decided."""
    reach = 1.000001 * max(floor, 1e-9)  # beyond rounding: a distance of just the floor would count as none
    low, high = float(values.min()) - reach, float(values.max()) + reach
    below = _last(low, high, lambda margin: is_extreme(values - margin, alpha, floor))
    above = _last(-high, -low, lambda margin: is_extreme(-values - margin, ALPHA, floor))
    return below, -above


def _beside(low: float, margin: float, *, is_past: bool) -> float:
    """Move the low end to the side of the margin on which the answer is.

    Distances shorter than a floor leave gaps: a margin may be undecided though a higher one is decided.
    """
    return max(low, math.nextafter(margin, math.inf)) if is_past else min(low, margin)


def _last(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """Find where a statement that is true from `low` on ceases to be true, or -inf when it never is."""
    if not holds(low):
        return -math.inf
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@lru_cache(maxsize=8)
def _signs(n: int) -> FloatArray:
    """Return all patterns of n signs, shape (2^n, n); observation i is bit i, so that prefixes repeat."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    return np.asarray(2.0 * bits - 1.0)
