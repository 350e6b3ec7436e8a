"""Samples whose best class changes from one computation to another: hard flips, and flips of what was a tie anyway.

A tie is a sample of which the first computation's two best scores lie within the numerical tolerance: it may fall
either way without anything being wrong. Ties in the scores go to the class with the lower index, as `argmax` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.records.verdict import Flip, FlipList
from harness.stats.evidence import AnyArray
from harness.stats.quantile import FloatArray
from harness.stats.rounding import noise

LISTED = 50
"""Flips that a record lists; it counts them all."""


@dataclass(frozen=True, slots=True)
class Flips:
    """All samples that flipped: positions, both answers, the margin of the first computation, and whether it was a tie.

    Arrays of shape (flips,), in the order of the samples.
    """

    sample: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    margin: FloatArray
    is_tie: npt.NDArray[np.bool_]
    samples: int
    """How many samples were compared."""

    @property
    def hard(self) -> int:
        """Count the flips that rounding does not explain."""
        return int(np.sum(~self.is_tie))

    @property
    def ties(self) -> int:
        """Count the flips of ties."""
        return int(np.sum(self.is_tie))


def find_flips(before: FloatArray, after: FloatArray) -> Flips:
    """Find the samples whose best class differs.

    Args:
        before: scores of the computation that is trusted, shape (n, k), k >= 2, finite.
        after: scores of the other one, same shape.
    """
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    at = np.flatnonzero(first != second)
    two = np.partition(before[at], -2, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    is_tie = margin <= noise(before)[at] if at.size else np.zeros(0, dtype=np.bool_)
    return Flips(at, first[at], second[at], margin, is_tie, before.shape[0])


def list_flips(flips: Flips, labels: AnyArray | None) -> FlipList:
    """List flips for a record, hard ones first, the largest margin first, at most `LISTED`.

    Args:
        flips: all of them.
        labels: shape (n,), or None when the data has none.
    """
    order = np.lexsort((flips.sample, -flips.margin, flips.is_tie))[:LISTED]
    listed = tuple(
        Flip(
            sample=int(flips.sample[i]),
            label=None if labels is None else int(labels[flips.sample[i]]),
            before=int(flips.before[i]),
            after=int(flips.after[i]),
            margin=float(flips.margin[i]),
            is_tie=bool(flips.is_tie[i]),
        )
        for i in order
    )
    return FlipList(flips.samples, flips.hard, flips.ties, listed)
