"""Real numbers that are integer codes times a scale: how dequantised answers are told from free ones. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LEVELS = 255
"""Steps of an 8-bit code."""
_FEWEST_LEVELS = 6
_MOST_PARTS = 8


def is_on_a_grid(values: npt.NDArray[np.generic]) -> bool:
    """Tell whether real values are integer codes times a scale, of 8 bits at most: answers of a quantised model.

    Args:
        values: any shape.

    Returns:
        True when all are integers, or when at least six distinct ones lie on at most 256 evenly spaced levels. Among
        free real numbers that is next to impossible: every gap would have to be a multiple of one step.
    """
    levels = np.unique(values[np.isfinite(values)].astype(np.float64))
    if levels.size == 0:
        return False
    if (levels == np.round(levels)).all():
        return True
    if levels.size < _FEWEST_LEVELS:
        return False
    gaps = np.diff(levels)
    # The smallest gap may be several steps: not every level is in use.
    return any(_are_whole(gaps * parts / gaps.min()) for parts in range(1, _MOST_PARTS + 1))


def _are_whole(steps: npt.NDArray[np.float64]) -> bool:
    """Tell whether gaps are whole numbers of steps, as far as float32 goes, and 8 bits have so many."""
    off = np.abs(steps - np.round(steps))
    return bool(steps.sum() <= _LEVELS + 0.5 and (off <= 1e-3 + 1e-4 * steps).all())
