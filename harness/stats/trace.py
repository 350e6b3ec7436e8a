"""Power over time, from readings of power or of an energy counter, and its integral over a window.

Arrays are those of one session: seconds on the board's clock, watts and joules. Knows no sensor and no limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.stats.quantile import FloatArray

FASTEST_W = 10_000.0
"""No board draws more: a reading or a counter that says so is wrong."""
LEAST_READINGS_PER_WRAP = 4
LARGEST_JUMP = 8.0
"""A step of an unwrapped counter that means this many times the median power was no wrap: the counter was set."""


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """Power over time: `t_s` strictly increasing seconds on the board's clock, `power_w` watts, both shape (n,)."""

    t_s: FloatArray
    power_w: FloatArray

    def between(self, start_s: float, end_s: float) -> PowerTrace:
        """Cut a window out; its edges are interpolated linearly."""
        inside = (self.t_s > start_s) & (self.t_s < end_s)
        edges = np.interp([start_s, end_s], self.t_s, self.power_w)
        times = np.concatenate(([start_s], self.t_s[inside], [end_s]))
        return PowerTrace(times, np.concatenate((edges[:1], self.power_w[inside], edges[1:])))

    def energy_j(self) -> float:
        """Integrate the whole trace by trapezoids."""
        return float(np.sum(0.5 * (self.power_w[1:] + self.power_w[:-1]) * np.diff(self.t_s)))

    def mean_w(self) -> float:
        """Average over time (not over samples, which may be uneven)."""
        return self.energy_j() / float(self.t_s[-1] - self.t_s[0])


@dataclass(frozen=True, slots=True)
class CounterTrace:
    """Joules counted since some moment: `t_s` strictly increasing, `count_j` never falling, both shape (n,)."""

    t_s: FloatArray
    count_j: FloatArray

    def between(self, start_s: float, end_s: float) -> CounterTrace:
        """Cut a window out; its edges are interpolated linearly."""
        inside = (self.t_s > start_s) & (self.t_s < end_s)
        edges = np.interp([start_s, end_s], self.t_s, self.count_j)
        times = np.concatenate(([start_s], self.t_s[inside], [end_s]))
        return CounterTrace(times, np.concatenate((edges[:1], self.count_j[inside], edges[1:])))

    def energy_j(self) -> float:
        """Give what was counted over the whole trace."""
        return float(self.count_j[-1] - self.count_j[0])

    def mean_w(self) -> float:
        """Average over time."""
        return self.energy_j() / float(self.t_s[-1] - self.t_s[0])

    @property
    def power_w(self) -> FloatArray:
        """Mean power since the reading before, shape (n,); that of the first is the second's."""
        rates: FloatArray = np.diff(self.count_j) / np.diff(self.t_s)
        return np.concatenate((rates[:1], rates))


def unwrap(t_s: FloatArray, raw_j: NDArray[np.float64], range_j: float) -> FloatArray | str:
    """Make one counter's readings rise through the places where it starts again.

    Args:
        t_s: shape (n,), seconds, strictly increasing.
        raw_j: shape (n,), joules as read, finite.
        range_j: the joules after which the counter starts again; 0: not known.

    Returns:
        Joules since the first reading, shape (n,), or in words why they cannot be told.
    """
    steps = np.diff(raw_j)
    if (raw_j < 0).any() and not range_j:
        return f"the energy counter says {raw_j.min():.6g} J: it ran over, and where it starts again is not known"
    if (raw_j < 0).any() or (range_j and (raw_j > range_j * (1 + 1e-9)).any()):
        return f"the counter says {raw_j.min():.6g} to {raw_j.max():.6g} J, outside its range of {range_j:.6g} J"
    fallen = steps < 0
    if fallen.any() and not range_j:
        return "the energy counter went backwards, and where it starts again is not known"
    steps[fallen] += range_j
    rates = steps / np.diff(t_s)
    median_w = float(np.median(rates))
    if float(rates.max(initial=0.0)) > FASTEST_W:
        return f"the energy counter jumped by {steps[rates.argmax()]:.4g} J between two readings"
    if fallen.any() and median_w > 0 and float(rates[fallen].max()) > LARGEST_JUMP * median_w:
        return "the energy counter went backwards by what is no wrap: it was reset"
    longest_s = float(np.diff(t_s).max())
    if range_j and median_w * longest_s * LEAST_READINGS_PER_WRAP > range_j:
        period_s = range_j / median_w
        return f"the energy counter starts again every {period_s:.3g} s and is read every {longest_s:.3g} s: ambiguous"
    return np.concatenate(([0.0], np.cumsum(steps)))
