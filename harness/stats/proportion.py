"""Two classifiers on the same samples: how sure a loss is, and what these samples could tell at all.

Complements `harness.stats.interval` (Wilson, Tango). Knows counts only; what they mean is `harness.stats.accuracy`'s
business.
"""

from __future__ import annotations

import math

from scipy import special

from harness.stats.interval import CONFIDENCE, Interval, PairedTable

POWER = 0.90
"""Chance with which a candidate without any loss is to pass a margin that is called resolvable."""
MOST_SAMPLES = 10**8


def mcnemar_p(table: PairedTable) -> float:
    """Test whether two classifiers differ at all: the exact two-sided p-value. It is reported and never decides.

    Source: McNemar (1947); exact form: the smaller discordant count against Binomial(lost + won, 1/2), doubled.
    """
    discordant = table.lost + table.won
    return min(1.0, 2.0 * float(special.bdtr(min(table.lost, table.won), discordant, 0.5)))


def exact_upper_bound(hits: int, n: int, *, confidence: float = 0.95) -> float:
    """Bound a share from above by what was counted: 0 of 20 bounds it by 13.9 %; with n = 0 nothing does.

    Source: Clopper and Pearson (1934), one-sided.
    """
    return 1.0 if hits >= n else float(special.betaincinv(hits + 1, n - hits, confidence))


def exact_lower_bound(hits: int, n: int, *, confidence: float = 0.95) -> float:
    """Bound a share from below, as `exact_upper_bound`."""
    return 1.0 - exact_upper_bound(n - hits, n, confidence=confidence)


def resolvable_loss(table: PairedTable, *, confidence: float = CONFIDENCE) -> float:
    """Tell the smallest margin that these samples resolve: a candidate without any loss passes it in 90 % of draws.

    The variance at the margin is the constrained one of the score interval that decides. (The usual
    (z_confidence + z_power) sqrt(discordance / n) promises too much where few samples differ: with 15 of 719 such a
    margin is passed in 85 % of draws, with 3 in 69 %.)

    Args:
        table: says how many samples there are and how often the answers differ; at least one is assumed to.
        confidence: two-sided coverage of the interval that decides.

    Returns:
        A loss of accuracy as a ratio.

    Source: sample size of the score test of Tango (1998), Statistics in Medicine 17, 891-908, for lost = won.
    """
    return _resolvable(max(table.lost + table.won, 1), table.n, confidence)


def samples_to_resolve(table: PairedTable, distance: float, *, confidence: float = CONFIDENCE) -> int | None:
    """Tell how many samples at this discordance tell a loss from a margin that is `distance` away from it.

    Returns:
        A number of samples rounded up to two digits; None when the distance is so small that no number helps.
    """
    share = max(table.lost + table.won, 1) / table.n
    fewest, most = 1, MOST_SAMPLES
    if abs(distance) < _resolvable(share * most, most, confidence):
        return None
    while most - fewest > max(fewest // 200, 1):
        middle = (fewest + most) // 2
        is_enough = _resolvable(share * middle, middle, confidence) <= abs(distance)
        fewest, most = (fewest, middle) if is_enough else (middle, most)
    step = int(10 ** max(math.floor(math.log10(most)) - 1, 0))
    return math.ceil(most / step) * step


def relative_loss_interval(table: PairedTable, right: int, *, confidence: float = CONFIDENCE) -> Interval:
    """Bound how many times better than the candidate the other classifier is, minus 1: 0.05 means 5 % worse.

    The ends are where the score statistic of "the accuracies have this ratio" reaches the normal quantile, with the
    nuisance probabilities at their constrained maximum of likelihood. So the accuracy of the other classifier counts as
    the estimate that it is, not as a constant.

    Args:
        table: `lost` other right and candidate wrong, `won` the reverse.
        right: samples that the other classifier answers right, above 0.
        confidence: two-sided coverage in (0, 1).

    Returns:
        Interval of other / candidate - 1; the upper end is infinite when the candidate may answer nothing right.

    Raises:
        ValueError: counts that no table has.

    Source: Nam & Blackwelder (2002), Statistics in Medicine 21, 689-699.
    """
    if not table.lost <= right <= table.n - table.won or right < 1:
        raise ValueError(f"{right} right answers do not fit {table}")
    z = float(special.ndtri(0.5 + confidence / 2))
    from scipy import optimize  # takes longer to import than a plan takes to make

    def excess(log_ratio: float, sign: float) -> float:
        return _ratio_score(table, right, math.exp(log_ratio)) + sign * z

    far = 25.0
    low = -far if excess(-far, -1.0) < 0 else float(optimize.brentq(excess, -far, far, args=(-1.0,), xtol=1e-12))
    high = far if excess(far, 1.0) > 0 else float(optimize.brentq(excess, -far, far, args=(1.0,), xtol=1e-12))
    # `low` and `high` bound ln(candidate / other); worse is the reverse.
    worst = math.inf if low <= -far else math.expm1(-low)
    return Interval(math.expm1(-high), worst, confidence)


def difference_of_losses(first: tuple[float, Interval], second: tuple[float, Interval], correlation: float) -> Interval:
    """Bound first - second, two losses on the same samples, from the interval of each.

    Args:
        first: a loss and its interval.
        second: another one, of the same confidence.
        correlation: of the two per-sample differences, in [-1, 1].

    Returns:
        Interval of the difference (method of variance estimates recovery: each end takes the distances of the ends
        that it can reach).

    Source: Zou & Donner (2008), Statistics in Medicine 27, 1693-1702; Newcombe's method 10 is the case of two rates.
    """
    (a, bounds_a), (b, bounds_b) = first, second
    down_a, up_a = a - bounds_a.low, bounds_a.high - a
    down_b, up_b = b - bounds_b.low, bounds_b.high - b
    low = a - b - _reach(down_a, up_b, correlation)
    high = a - b + _reach(up_a, down_b, correlation)
    return Interval(low, high, bounds_a.coverage)


def _reach(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one * one - 2.0 * correlation * one * other + other * other, 0.0))


def _ratio_score(table: PairedTable, right: int, ratio: float) -> float:
    """Give the score statistic of "candidate = ratio x other"; positive when the candidate is better than that."""
    n = table.n
    other, own = right / n, (right - table.lost + table.won) / n
    lost, won, none = table.lost / n, table.won / n, (n - right - table.won) / n
    root = math.sqrt(max((own - ratio**2 * other) ** 2 + 4 * ratio**2 * won * lost, 0.0))
    only_own = (ratio**2 * (other + 2 * won) - own + root) / (2 * ratio * (ratio + 1))
    only_other = ratio * only_own - (ratio - 1) * (1 - none)
    variance = ratio * (only_own + only_other) / n
    distance = own - ratio * other
    if variance <= 0.0:
        return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _resolvable(discordant: float, n: int, confidence: float) -> float:
    from scipy import optimize  # takes longer to import than a plan takes to make

    z, z_power = float(special.ndtri(0.5 + confidence / 2)), float(special.ndtri(POWER))

    def spare(loss: float) -> float:
        """Give by how much `loss` is wider than the interval of a candidate without one, in samples."""
        b = 2 * n * loss - discordant
        nuisance = (math.sqrt(b * b + 4 * n * discordant * loss * (1 - loss)) - b) / (4 * n)
        deviation = math.sqrt(n * (2 * nuisance + loss * (1 - loss)))
        return n * loss - z * deviation - z_power * math.sqrt(discordant)

    edge = 1.0 - 1e-9
    return 1.0 if spare(edge) < 0 else float(optimize.brentq(spare, 0.0, edge, xtol=1e-9))
