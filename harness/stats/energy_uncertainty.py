"""The standard uncertainty of an energy, term by term: what the sensor, its readings and its clock leave open.

Source: JCGM 100 (GUM); six independent terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.stats.quantile import FloatArray
from harness.stats.sensor import Sensor
from harness.stats.trace import CounterTrace, PowerTrace


@dataclass(frozen=True, slots=True)
class EnergyUncertainty:
    """Standard uncertainties of the energy of one window, J."""

    gain: float
    """The sensor's accuracy, ±g: g·E/√3."""
    offset: float
    """Its offset, ±o: o·T/√3."""
    scatter: float
    """Readings that differ: T·s/√n_eff, with n_eff = n(1-r)/(1+r) for the correlation r of neighbours."""
    step: float
    """Its smallest step q: T·q/√(12n)."""
    start: float
    """Power that changes at the window's start, times what its time is uncertain by: ΔP·u_t."""
    end: float

    @property
    def total(self) -> float:
        """All of it."""
        return math.hypot(self.gain, self.offset, self.scatter, self.step, self.start, self.end)

    @property
    def edges(self) -> float:
        """The two terms of the window's edges."""
        return math.hypot(self.start, self.end)


def energy_uncertainty(
    trace: PowerTrace | CounterTrace, window: tuple[float, float], sensor: Sensor
) -> EnergyUncertainty:
    """Bound the energy of a window.

    Args:
        trace: covers the window and, for the change of power at its edges, some time around it.
        window: start and end, seconds.
        sensor: what is known of it.
    """
    loaded = trace.between(*window)
    length_s, n = window[1] - window[0], loaded.t_s.size
    u_time = sensor.time_s(length_s / n)
    scatter = 0.0 if isinstance(loaded, CounterTrace) else length_s * scatter_w(loaded.power_w)
    quantum = sensor.step_w or _smallest_step(loaded)
    return EnergyUncertainty(
        gain=sensor.gain * loaded.energy_j() / math.sqrt(3.0),
        offset=sensor.offset_w * length_s / math.sqrt(3.0),
        scatter=scatter,
        step=quantum / math.sqrt(12.0) * (length_s / math.sqrt(n) if isinstance(loaded, PowerTrace) else math.sqrt(2)),
        start=_change_w(trace, window[0], u_time) * u_time,
        end=_change_w(trace, window[1], u_time) * u_time,
    )


def scatter_w(watts: FloatArray) -> float:
    """Return the standard error of the mean of readings that depend on their neighbours (first-order), W."""
    deviation = float(np.std(watts, ddof=1)) if watts.size > 1 else 0.0
    if deviation == 0.0:
        return 0.0
    centred = watts - watts.mean()
    rho = float(np.sum(centred[1:] * centred[:-1]) / np.sum(centred**2))
    rho = min(max(rho, 0.0), 1.0 - 1.0 / watts.size)  # never better than independent, never worse than one reading
    return deviation / math.sqrt(watts.size * (1.0 - rho) / (1.0 + rho))


def _smallest_step(loaded: PowerTrace | CounterTrace) -> float:
    values = loaded.power_w[1:-1] if isinstance(loaded, PowerTrace) else loaded.count_j[1:-1]
    steps = np.diff(np.unique(values))
    return float(steps.min()) if steps.size else 0.0


def _change_w(trace: PowerTrace | CounterTrace, at_s: float, u_time: float) -> float:
    """Return how much the mean power differs between the sides of a moment, W."""
    reach_s = 4.0 * u_time
    low, high = max(float(trace.t_s[0]), at_s - reach_s), min(float(trace.t_s[-1]), at_s + reach_s)
    if not low < at_s < high:
        return 0.0
    return abs(trace.between(low, at_s).mean_w() - trace.between(at_s, high).mean_w())
