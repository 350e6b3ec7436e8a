"""What a paired gate will cost and can see on a board, before anything is measured: pairs, chance of no answer, effect.

From the board's noise alone, by simulated paths of the very test that will decide. Seeded: the same question has the
same answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.stats.group_t import t_ends
from harness.stats.quantile import FloatArray
from harness.stats.trial import ALPHA, CAP, LOOKS

ASSUMED_NOISE = 0.02
"""Standard deviation of a pair's log-ratio where a board's noise is not known yet."""
RESOLVES = 0.8
"""A board whose noise is more than this share of a margin cannot resolve it within the cap: of unchanged cells one in
thirty would stay open at the share itself, one in seven at a quarter more."""
PATHS = 4000
POWER = 0.9


@dataclass(frozen=True, slots=True)
class Outlook:
    """What to expect of one gate."""

    pairs: float
    """Mean pairs until it is decided, if nothing has changed."""
    undecided: float
    """Chance that an unchanged candidate is still undecided at the cap."""
    detectable: float
    """Smallest worsening (ratio) that is found in nine of ten runs; infinite when there is none below 100 %."""


def outlook(noise: float, margin: float) -> Outlook:
    """Foresee a paired gate.

    Args:
        noise: standard deviation of a pair's log-ratio between equal arms.
        margin: allowed worsening as a ratio (0.05).

    Raises:
        ValueError: noise or margin is negative.
    """
    if noise < 0 or margin < 0:
        raise ValueError(f"noise {noise} or margin {margin} is impossible")
    return _outlook(round(noise, 5), round(margin, 6))


def resolvable(noise: float) -> float:
    """Return the smallest margin (ratio) that a board of this noise can resolve."""
    return math.expm1(noise / RESOLVES)


def walk(
    values: FloatArray, margin: float, *, floor: float = 0.0
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Run the group-sequential t over many cells at once.

    Args:
        values: shape (cells, CAP), log-ratios in order.
        margin: in the same unit.
        floor: least standard deviation that is believed.

    Returns:
        Per cell 1 for BEYOND, -1 for WITHIN, 0 for OPEN, and the observations used.
    """
    answers = np.zeros(len(values), dtype=np.int8)
    used = np.full(len(values), CAP)
    for n in LOOKS:
        low, high = t_ends(values[:, :n], alpha=ALPHA, floor=floor)
        now = np.where(low > margin, 1, np.where(high < margin, -1, 0))
        stops = (answers == 0) & (now != 0)
        answers[stops], used[stops] = now[stops], n
    return answers, used


@lru_cache(maxsize=256)
def _outlook(noise: float, margin: float) -> Outlook:
    paths = np.random.default_rng(5).standard_normal((PATHS, CAP)) * noise
    limit = math.log1p(margin)
    answers, used = walk(paths, limit)

    def found(effect: float) -> float:
        return float(np.mean(walk(paths + math.log1p(effect), limit)[0] == 1))

    low, high = margin, 1.0
    if found(high) < POWER:
        return Outlook(float(used.mean()), float(np.mean(answers == 0)), math.inf)
    while high - low > 0.0005:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= POWER else (middle, high)
    return Outlook(float(used.mean()), float(np.mean(answers == 0)), high)
