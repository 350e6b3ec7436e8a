"""The words of a sequential test: on which side of a margin an effect is shown to be, after how many observations.

Knows no test; those are `group_t`, `sign_flip` and `over_limit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.stats.quantile import FloatArray

LOOKS = (3, 4, 5, 6, 8, 10, 12)
"""Observations (pairs, or sessions of one arm) after which a test may answer."""
CAP = LOOKS[-1]
ALPHA = 0.05
"""Probability of a wrong answer over all looks together, each way."""
CONFIRM_ALPHA = 0.01
"""Of a wrong confirmation, on fresh observations, that an effect is beyond its margin."""


class Test(StrEnum):
    """Which test decides; chosen before the effect is seen."""

    __test__ = False

    GS_T = "gs_t"
    FLIP = "flip"
    E_PROCESS = "e-process"


class Answer(StrEnum):
    """On which side of the margin the effect is shown to be."""

    WITHIN = "within"
    BEYOND = "beyond"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Look:
    """The margins that `n` observations leave undecided: one below `low` is exceeded, one above `high` is kept."""

    n: int
    low: float
    high: float

    def answer(self, margin: float) -> Answer:
        """Say what this look shows about a margin."""
        if margin < self.low:
            return Answer.BEYOND
        return Answer.WITHIN if margin > self.high else Answer.OPEN


@dataclass(frozen=True, slots=True)
class Trial:
    """What a sequential test found: the answer, and how many observations it took."""

    test: Test
    alpha: float
    answer: Answer
    used: int
    looks: tuple[Look, ...] = ()
    p_value: float = 1.0
    """Of "not beyond the margin", valid whenever the test stopped."""


def check_values(values: Sequence[float] | FloatArray) -> FloatArray:
    """Return observations as an array of shape (n,), n may be 0.

    Raises:
        ValueError: they are not one-dimensional or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("observations are finite and have one dimension")
    return array
