"""Does a quantile keep an absolute limit? Beta-mixture e-processes over how often the limit is exceeded, at any time.

Two counts must agree before there is an answer, because each alone has a hole. The share of *calls* over the limit is
what a quantile limit speaks of; but calls of one process are not independent. The share of *sessions* whose own
quantile is over it needs only independent sessions; but it cannot tell one bad session in three from none. An e-process
may be looked at after every session, so nothing is spent. Knows seconds and a limit, nothing of gates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.quantile import FloatArray, order_quantile
from harness.stats.trial import ALPHA, CAP, Answer, Look, Test, Trial

OVER_SESSIONS = 0.5
"""A quantile over sessions is the median session's."""


@dataclass(frozen=True, slots=True)
class Count:
    """So many of n are over the limit; of scores from 0 to 1, their sum."""

    over: float
    n: int


def log_e_value(count: Count, rate: float, *, lower: bool) -> float:
    """Return the logarithm of the e-value against "the rate over the limit is at least (at most) `rate`".

    Args:
        count: what was seen.
        rate: in (0, 1).
        lower: True against "at least `rate`" (evidence that the limit is kept), False against "at most".

    Raises:
        ValueError: counts or a rate that cannot be.

    Source: Ville (1939); the alternative is a uniform mixture over the rates on the other side (Robbins 1970). For
    `lower`: B(t+1, n-t+1) I_q(t+1, n-t+1) / (q q^t (1-q)^(n-t)).
    """
    over, n = count.over, count.n
    if not (0.0 < rate < 1.0 and 0 <= over <= n):
        raise ValueError(f"{over} of {n} at a rate of {rate} is no count")
    if not lower:
        return log_e_value(Count(n - over, n), 1.0 - rate, lower=True)
    a, b = over + 1.0, n - over + 1.0
    share = float(special.betainc(a, b, rate))
    if share == 0.0:
        return -math.inf
    # xlogy keeps 0 * log(0) at 0
    null = math.log(rate) + float(special.xlogy(over, rate) + special.xlog1py(n - over, -rate))
    return float(special.betaln(a, b)) + math.log(share) - null


def over_limit(sessions: Sequence[FloatArray], q: float, limit: float, *, alpha: float = ALPHA) -> Trial:
    """Test whether the q-quantile of calls keeps a limit, session by session.

    Args:
        sessions: per session its calls, shape (calls,), in the order in which they ran; at most CAP count.
        q: in (0, 1).
        limit: in the unit of the calls.
        alpha: probability of a wrong BEYOND, at whatever time one looks; that of a wrong WITHIN is 5 %.

    Raises:
        ValueError: a session is empty or not finite, or q is outside (0, 1).
    """
    kept = [np.sort(session) for session in sessions[:CAP]]
    quantiles = [order_quantile(session, q) for session in kept]
    for n in range(1, len(kept) + 1):
        answer, p_value = _look(kept[:n], quantiles[:n], q, limit, alpha)
        if answer is not Answer.OPEN:
            look = _ends(kept[:n], quantiles[:n], q, alpha)
            return Trial(Test.E_PROCESS, alpha, answer, n, (look,), p_value)
    looks = (_ends(kept, quantiles, q, alpha),) if kept else ()
    return Trial(Test.E_PROCESS, alpha, Answer.OPEN, len(kept), looks)


def _look(
    kept: Sequence[FloatArray], quantiles: Sequence[float], q: float, limit: float, alpha: float
) -> tuple[Answer, float]:
    """Say what the sessions so far show about a limit, and the p-value of "it is kept"."""
    over = sum(int(session.size - np.searchsorted(session, limit, side="right")) for session in kept)
    calls = Count(over, sum(session.size for session in kept))
    blocks = Count(sum(quantile > limit for quantile in quantiles), len(quantiles))
    within = min(log_e_value(calls, 1.0 - q, lower=True), log_e_value(blocks, OVER_SESSIONS, lower=True))
    beyond = min(log_e_value(calls, 1.0 - q, lower=False), log_e_value(blocks, OVER_SESSIONS, lower=False))
    if within >= -math.log(ALPHA):
        return Answer.WITHIN, 1.0
    p_value = min(1.0, math.exp(-beyond))
    return (Answer.BEYOND if beyond >= -math.log(alpha) else Answer.OPEN), p_value


def _ends(kept: Sequence[FloatArray], quantiles: Sequence[float], q: float, alpha: float) -> Look:
    """Return the limits that the sessions leave undecided: between two calls nothing changes, so calls are tried."""
    limits = np.concatenate([[-math.inf], np.unique(np.concatenate(kept))])

    def says(at: int, wanted: Answer) -> bool:
        return _look(kept, quantiles, q, float(limits[at]), alpha)[0] is wanted

    within = _first(limits.size, lambda at: says(at, Answer.WITHIN))
    not_beyond = _first(limits.size, lambda at: not says(at, Answer.BEYOND))
    high = float(limits[within]) if within < limits.size else math.inf
    return Look(len(kept), float(limits[not_beyond]), high)


def _first(size: int, holds: Callable[[int], bool]) -> int:
    """Find the first of `size` places from which on a statement holds; `size` when it never does."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
