"""Whether the power rises and falls when the load does: every energy session's own marker of its clocks.

The board notes when its load begins and ends; the trace shows when power does. What lies too far apart was stamped by a
clock that is not aligned, or comes from a sensor that averages over longer than anybody says.
"""

from __future__ import annotations

import math

import numpy as np

from harness.records.cell import SessionRecord
from harness.stats.quantile import FloatArray
from harness.stats.sensor import Sensor
from harness.stats.trace import CounterTrace, PowerTrace

ALLOWED_S = 0.15
"""A frequency governor's time to answer a load, beside what the sensor's own times allow."""
STEADIEST = 1.0 / 3.0
"""Scatter of the load's middle in units of its height over idle: a load that moves by more is no marker."""
LEAST_CONTRAST = 0.05
"""Height over idle, relative to idle: a board that hardly draws more under load has no marker either."""
CLEAR = 3.0
"""Readings that must fit better at the other moment."""
MOST_READINGS = 2000
"""More say nothing that these do not."""
REACH = 0.3
"""Share of the load's time within which another moment is looked for."""


def lag_problem(trace: PowerTrace | CounterTrace, session: SessionRecord, sensor: Sensor, idle_w: float) -> str:
    """Say that the power follows the load at another time than it may.

    Args:
        trace: sound.
        session: for the moments at which the load began and ended; without them nothing is checked.
        sensor: for the times within which it may follow.
        idle_w: mean power at rest.
    """
    begin, end = session.scalars.get("load_start_s"), session.scalars.get("load_end_s")
    if begin is None or end is None or not trace.t_s[0] < begin < end < trace.t_s[-1]:
        return ""
    quarter_s = (end - begin) / 4
    middle = trace.power_w[(trace.t_s > begin + quarter_s) & (trace.t_s < end - quarter_s)]
    period_s = sensor.period_s or float(np.median(np.diff(trace.t_s)))
    allowed_s = ALLOWED_S + 3 * sensor.clock_s + 1.5 * period_s + sensor.window_s
    height_w = float(middle.mean()) - idle_w if middle.size > 4 else 0.0
    if height_w <= LEAST_CONTRAST * idle_w or np.std(middle) > STEADIEST * height_w:
        return ""
    reach_s = max(3 * allowed_s, REACH * (end - begin))
    lags = np.linspace(-reach_s, reach_s, min(2001, 2 * math.ceil(10 * reach_s / allowed_s) + 1))
    some = slice(None, None, max(1, trace.t_s.size // MOST_READINGS))
    misfits = _misfits(trace.t_s[some], (trace.power_w[some] - idle_w) / height_w, (begin, end), lags)
    nearest = np.abs(lags) <= allowed_s
    if misfits[nearest].min() - misfits.min() <= CLEAR:
        return ""
    lag_s = float(lags[misfits.argmin()])
    return (
        f"the power follows the load {abs(lag_s):.2g} s {'late' if lag_s > 0 else 'early'}, {allowed_s:.2g} s allowed: "
        "the meter's clock is not aligned, or it averages over longer than it says (`averaging`)"
    )


def _misfits(t_s: FloatArray, share: FloatArray, load: tuple[float, float], lags: FloatArray) -> FloatArray:
    """Return for each lag the sum of squares between readings (0 idle, 1 load) and a load that comes so late."""
    found = [np.sum((share - ((t_s >= load[0] + lag) & (t_s < load[1] + lag))) ** 2) for lag in lags]
    return np.asarray(found, dtype=np.float64)
