"""Many gates in one run: the p-value of a failure that was shown twice, and Holm's step-down over all of them.

The pass side needs nothing: a release passes only if every gate does, so that one gate that is truly worse is let
through with at most the error of that gate (intersection-union). Knows p-values only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def combined_p(legs: Sequence[tuple[float, float]]) -> float:
    """Return the p-value of a failure that independent stages all showed.

    Args:
        legs: (p-value, alpha) of each stage, which rejected at its alpha.

    Returns:
        The probability that stages which reject at their alphas have so small a product of p-values; at most the
        product of the alphas.

    Source: Fisher (1932), the product of p-values, truncated at the alphas (Zaykin et al. 2002).
    """
    product = math.prod(min(p_value, alpha) for p_value, alpha in legs)
    limit = math.prod(alpha for _, alpha in legs)
    if product <= 0.0:
        return 0.0
    ratio = math.log(limit / product)
    return product * sum(ratio**k / math.factorial(k) for k in range(len(legs)))


def holm(p_values: Sequence[float], family: int, *, alpha: float = 0.05) -> tuple[bool, ...]:
    """Tell which of some p-values stand when the whole family may hold a wrong one with probability alpha.

    Args:
        p_values: the smallest of the family, any order.
        family: size of the family, those without a small p-value included.
        alpha: family-wise error.

    Source: Holm (1979).
    """
    stands = [False] * len(p_values)
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[at] > alpha / (family - rank):
            break
        stands[at] = True
    return tuple(stands)
