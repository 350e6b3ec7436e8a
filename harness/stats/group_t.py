"""The group-sequential t test: near-normal observations, any variance, looks at 3, 4, 5, 6, 8, 10 and 12.

Under normal observations the path of t does not depend on their variance, so one table of boundaries serves every
board. With heavy tails it errs less often than stated, not more. Knows log-ratios; of what is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from harness.stats.quantile import FloatArray
from harness.stats.trial import ALPHA, CAP, LOOKS, Answer, Look, Test, Trial, check_values

BOUNDARIES = {
    0.05: (6.21, 5.00, 4.04, 3.49, 2.79, 2.50, 2.32),
    0.01: (14.09, 9.51, 6.78, 5.51, 4.13, 3.65, 3.37),
}
"""alpha -> |t| at each look that ends the test, its error spent in proportion to the observations. From 1.8 * 10^7
simulated paths; `tests/unit/stats/test_group_t.py` derives them again."""


def group_t(values: Sequence[float] | FloatArray, margin: float, *, alpha: float = ALPHA, floor: float = 0.0) -> Trial:
    """Test whether the mean of near-normal observations lies beyond a margin.

    Args:
        values: log-ratios in the order in which they were observed, finite; those after the answer are not used.
        margin: in the same unit.
        alpha: probability of a wrong BEYOND over all looks; that of a wrong WITHIN is 5 %.
        floor: least standard deviation that is believed: some equal readings must not decide.

    Raises:
        ValueError: a value is not finite.

    Source: Lan & DeMets (1983), error spending; Jennison & Turnbull (2000), ch. 11, the t statistic and repeated
    confidence intervals.
    """
    array = check_values(values)
    looks: list[Look] = []
    p_value = 1.0
    for n in (look for look in LOOKS if look <= array.size):
        low, high = t_ends(array[:n], alpha=alpha, floor=floor)
        looks.append(Look(n, float(low), float(high)))
        p_value = min(p_value, _p_value(array[:n], margin, floor))
        answer = looks[-1].answer(margin)
        if answer is not Answer.OPEN:
            return Trial(Test.GS_T, alpha, answer, n, tuple(looks), p_value)
    return Trial(Test.GS_T, alpha, Answer.OPEN, min(array.size, CAP), tuple(looks), p_value)


def t_ends(values: FloatArray, *, alpha: float = ALPHA, floor: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Return the margins that one look leaves undecided, as low and high ends of shape (...).

    Args:
        values: shape (..., n), n one of LOOKS.
        alpha: of the low end; that of the high end is 5 %.
        floor: least standard deviation that is believed.
    """
    n = values.shape[-1]
    middle, step = values.mean(axis=-1), np.maximum(values.std(axis=-1, ddof=1), floor) / math.sqrt(n)
    return middle - boundary(n, alpha) * step, middle + boundary(n, ALPHA) * step


def boundary(n: int, alpha: float) -> float:
    """Return the |t| that ends the test at the look after n observations.

    For an alpha that is not tabled the error is split over the looks as if they did not overlap, which is conservative.
    """
    at = LOOKS.index(n)
    if alpha in BOUNDARIES:
        return BOUNDARIES[alpha][at]
    return float(special.stdtrit(n - 1, 1.0 - alpha * _weight(n)))


def _weight(n: int) -> float:
    """Return the share of the error that is spent at a look."""
    at = LOOKS.index(n)
    return (n - (LOOKS[at - 1] if at else 0)) / CAP


def _p_value(values: FloatArray, margin: float, floor: float) -> float:
    """Return the p-value of one look, multiplied so that the smallest over all looks is one as well."""
    n = values.size
    step = max(float(values.std(ddof=1)), floor) / math.sqrt(n)
    distance = float(values.mean()) - margin
    if step == 0.0:
        return 0.0 if distance > 0 else 1.0
    return min(1.0, float(special.stdtr(n - 1, -distance / step)) / _weight(n))
