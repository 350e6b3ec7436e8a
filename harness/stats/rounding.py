"""How far two honest computations of one output may lie apart: rounding of float32, and one step of a quantised output.

Knows arrays of outputs only.
"""

from __future__ import annotations

import numpy as np

from harness.stats.evidence import AnyArray
from harness.stats.quantile import FloatArray

MOST_QUANTISED_VALUES = 256
LARGEST_STEP = 0.02
NOISE_ULPS = 64.0
"""Rounding errors of a sum of n terms grow like sqrt(n) when its order changes; 64 is that of 4,096 terms.

Source: Higham, Accuracy and Stability of Numerical Algorithms (2nd ed.), section 2.8. One float model on two runtimes
and two architectures differed by 3 of these (suites/digits/ORIGIN.md)."""


def output_step(output: AnyArray) -> float:
    """Return the step of a quantised output, or 0 for one that is not quantised.

    An output of at most 256 values is quantised; the step is the smallest distance between two of them. Few distinct
    values with wide gaps (a saturated classifier, more than 2 % of the magnitude) say nothing about a quantiser.
    """
    values = np.unique(output)
    if not 1 < values.size <= MOST_QUANTISED_VALUES:
        return 0.0
    magnitude = float(np.max(np.abs(output), initial=0.0, where=np.isfinite(output)))
    step = float(np.diff(values).min())
    return step if step <= LARGEST_STEP * magnitude else 0.0


def ulp(rows: FloatArray) -> FloatArray:
    """Return the unit in the last place of float32 at the size of each row's largest value.

    Args:
        rows: shape (n, k), finite.

    Returns:
        shape (n,), positive.
    """
    largest = np.abs(rows).max(axis=1).astype(np.float32)
    return np.asarray(np.spacing(np.maximum(largest, np.finfo(np.float32).tiny)), dtype=np.float64)


def noise(rows: FloatArray) -> FloatArray:
    """Return the numerical tolerance of each sample: 64 ulp of its largest value, or one step of a quantised output.

    Args:
        rows: shape (n, k), finite.

    Returns:
        shape (n,), positive, in the unit of the output.
    """
    return np.maximum(NOISE_ULPS * ulp(rows), 1.01 * output_step(rows))
